"""Restores a backup: replaces the databases of a data directory and keeps the former ones."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import plyvel

from app.errors import BackupUnusable, StoreLocked
from app.store import schema
from app.store.backup_archive import Archive, Entry
from app.store.directories import clear_path, replace_directory, sibling_path
from app.store.key_layout import PRESETS
from app.store.leveldb_errors import convert_error
from app.store.lock import is_unlocked
from app.store.stores import CORE, DISCOVERY, EVENTS, HISTORY

BATCH = 1000


@dataclass(slots=True)
class RestoreResult:
    """The result of a restore. `entries`: number of keys by database. `kept`: paths of the former databases. `missing`:
    messages about secrets that the backup does not contain."""

    entries: dict[str, int] = field(default_factory=dict)
    kept: list[Path] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def restore_backup(file: Path, data_dir: Path, now: datetime) -> RestoreResult:
    """Replace the databases in `data_dir` by those in the backup. The caller holds the directory's lock.

    Raises BackupUnusable, StoreLocked and StoreError; the databases are then unchanged.
    """
    os.umask(0o077)
    archive = Archive(file)
    names = _check_archive(archive, file)
    for name in names:
        if (data_dir / name).exists() and not is_unlocked(data_dir / name):
            raise StoreLocked(str(data_dir / name))
    done = RestoreResult(dict.fromkeys(names, 0))
    built = {name: clear_path(sibling_path(data_dir / name, "building")) for name in names}
    try:
        _build_databases(archive, built, done)
        for name, directory in built.items():
            kept = replace_directory(directory, data_dir / name, "before-restore", now)
            done.kept += [kept] if kept else []
    except (plyvel.Error, OSError) as error:
        raise convert_error(error, data_dir) from None
    finally:
        for directory in built.values():
            clear_path(directory)
    return done


def _check_archive(archive: Archive, file: Path) -> list[str]:
    """Validate the whole file before any change. Return the names of the databases, the core database last."""
    names, version = archive.header.get("databases"), archive.header.get("schema")
    known = {CORE, DISCOVERY, HISTORY, EVENTS}
    if not isinstance(names, list) or CORE not in names or len(known & set(map(str, names))) != len(names):
        raise BackupUnusable(f"{file} holds databases that this service does not know")
    _require_known_schema(version, file)
    for entry in archive.read_entries():
        if entry.database not in names:
            raise BackupUnusable(f"{file} is damaged: it holds a key of {entry.database[:80]!r}")
        if entry.key == schema.VERSION_KEY.encode() and entry.database == CORE:
            _require_known_schema(schema.stored_version(_parse_json(entry.value)), file)
    return sorted(archive.header["databases"], key=lambda name: name == CORE)


def _require_known_schema(version: object, file: Path) -> None:
    """Raise BackupUnusable for a schema version that the next startup would reject."""
    if type(version) is not int or version < schema.FIRST_VERSION:
        raise BackupUnusable(f"{file} is damaged: its schema version is missing or invalid")
    known = schema.latest_version()
    if version > known:
        raise BackupUnusable(
            f"{file} was made by a newer version of this service (schema {version}, this one knows {known})"
        )


def _parse_json(value: bytes | None) -> Any:
    """Return the parsed value; None if it is invalid JSON, which the service ignores."""
    try:
        return None if value is None else orjson.loads(value)
    except orjson.JSONDecodeError:
        return None


def _build_databases(archive: Archive, built: dict[str, Path], done: RestoreResult) -> None:
    opened: dict[str, plyvel.DB] = {}
    try:
        for name, directory in built.items():
            opened[name] = plyvel.DB(str(directory), create_if_missing=True)
        entries = archive.read_entries()
        while part := list(islice(entries, BATCH)):
            for name, db in opened.items():
                _write_entries(db, [entry for entry in part if entry.database == name])
            for entry in part:
                done.entries[entry.database] += entry.value is not None
                done.missing += [_describe_missing(entry)] if entry.removed_paths else []
    finally:
        for db in opened.values():
            db.close()


def _write_entries(db: plyvel.DB, entries: list[Entry]) -> None:
    with db.write_batch(sync=True) as batch:
        for entry in entries:
            if entry.value is not None:
                batch.put(entry.key, entry.value)


def _describe_missing(entry: Entry) -> str:
    key = _escape_control_characters(entry.key.decode(errors="replace"))
    if entry.value is None:
        return f"{key}: could not be checked for passwords, so it is not in the backup"
    if key.startswith(f"{PRESETS}:"):
        record = _parse_json(entry.value)
        name = record.get("name") if isinstance(record, dict) else None
        fields = ", ".join(
            _escape_control_characters(path.removeprefix("configuration.")) for path in entry.removed_paths
        )
        return f"preset {name!r} lacks {fields}: enter it again"
    return f"{key} lacks {', '.join(map(_escape_control_characters, entry.removed_paths))}"


def _escape_control_characters(text: str) -> str:
    """Return the text with control characters escaped, which a terminal would interpret."""
    return text if text.isprintable() else repr(text)
