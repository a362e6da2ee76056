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
from app.store.archive import Archive, Entry
from app.store.directories import beside, fresh, put_in_place
from app.store.faults import fault
from app.store.layout import PRESETS
from app.store.lock import is_free
from app.store.stores import CORE, DISCOVERY

BATCH = 1000


@dataclass(slots=True)
class Restored:
    """The result of a restore. `entries`: number of keys by database. `kept`: paths of the former databases. `lacking`:
    messages about secrets that the backup does not contain."""

    entries: dict[str, int] = field(default_factory=dict)
    kept: list[Path] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)


def restore(file: Path, data_dir: Path, now: datetime) -> Restored:
    """Replace the databases in `data_dir` by those in the backup. The caller holds the directory's lock.

    Raises BackupUnusable, StoreLocked and StoreError; the databases are then unchanged.
    """
    os.umask(0o077)
    archive = Archive(file)
    names = _checked(archive, file)
    for name in names:
        if (data_dir / name).exists() and not is_free(data_dir / name):
            raise StoreLocked(str(data_dir / name))
    done = Restored(dict.fromkeys(names, 0))
    built = {name: fresh(beside(data_dir / name, "building")) for name in names}
    try:
        _build(archive, built, done)
        for name, directory in built.items():
            kept = put_in_place(directory, data_dir / name, "before-restore", now)
            done.kept += [kept] if kept else []
    except (plyvel.Error, OSError) as error:
        raise fault(error, data_dir) from None
    finally:
        for directory in built.values():
            fresh(directory)
    return done


def _checked(archive: Archive, file: Path) -> list[str]:
    """Validate the whole file before any change. Return the names of the databases, the core database last."""
    names, version = archive.header.get("databases"), archive.header.get("schema")
    if names not in ([CORE], [CORE, DISCOVERY], [DISCOVERY, CORE]):
        raise BackupUnusable(f"{file} holds databases that this service does not know")
    _require_known(version, file)
    for entry in archive.entries():
        if entry.database not in names:
            raise BackupUnusable(f"{file} is damaged: it holds a key of {entry.database[:80]!r}")
        if entry.key == schema.KEY.encode() and entry.database == CORE:
            _require_known(schema.version_of(_parsed(entry.value)), file)
    return sorted(archive.header["databases"], key=lambda name: name == CORE)


def _require_known(version: object, file: Path) -> None:
    """Raise BackupUnusable for a schema version that the next startup would reject."""
    if type(version) is not int or version < schema.FIRST:
        raise BackupUnusable(f"{file} is damaged: its schema version is missing or invalid")
    known = schema.known()
    if version > known:
        raise BackupUnusable(
            f"{file} was made by a newer version of this service (schema {version}, this one knows {known})"
        )


def _parsed(value: bytes | None) -> Any:
    """Return the parsed value; None if it is invalid JSON, which the service ignores."""
    try:
        return None if value is None else orjson.loads(value)
    except orjson.JSONDecodeError:
        return None


def _build(archive: Archive, built: dict[str, Path], done: Restored) -> None:
    opened: dict[str, plyvel.DB] = {}
    try:
        for name, directory in built.items():
            opened[name] = plyvel.DB(str(directory), create_if_missing=True)
        entries = archive.entries()
        while part := list(islice(entries, BATCH)):
            for name, db in opened.items():
                _write(db, [entry for entry in part if entry.database == name])
            for entry in part:
                done.entries[entry.database] += entry.value is not None
                done.lacking += [_lack(entry)] if entry.withheld else []
    finally:
        for db in opened.values():
            db.close()


def _write(db: plyvel.DB, entries: list[Entry]) -> None:
    with db.write_batch(sync=True) as batch:
        for entry in entries:
            if entry.value is not None:
                batch.put(entry.key, entry.value)


def _lack(entry: Entry) -> str:
    key = _printable(entry.key.decode(errors="replace"))
    if entry.value is None:
        return f"{key}: could not be checked for passwords, so it is not in the backup"
    if key.startswith(f"{PRESETS}:"):
        record = _parsed(entry.value)
        name = record.get("name") if isinstance(record, dict) else None
        fields = ", ".join(_printable(path.removeprefix("configuration.")) for path in entry.withheld)
        return f"preset {name!r} lacks {fields}: enter it again"
    return f"{key} lacks {', '.join(map(_printable, entry.withheld))}"


def _printable(text: str) -> str:
    """Return the text with control characters escaped, which a terminal would interpret."""
    return text if text.isprintable() else repr(text)
