"""Verifies a LevelDB directory at startup and repairs a damaged one, so that no data is lost without a message.

LevelDB alone would lose data silently: without CURRENT it starts with an empty database, and it skips the records of a
damaged log.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import plyvel

from app.errors import StoreBeyondRepair
from app.store import wal
from app.store.directories import clear_path, replace_directory, sibling_path
from app.store.key_layout import LISTS, sort_by_creation
from app.store.leveldb import PLACEHOLDER, open_leveldb
from app.store.leveldb_errors import error_message, is_damage

BATCH = 1000


class Damage(Exception):
    """The directory is damaged; the message describes the damage."""


@dataclass(frozen=True, slots=True)
class Repair:
    """The result of a repair. `kept`: path of the damaged files, unchanged. `recovered`: number of keys.
    `unreadable`: number of unreadable places in logs and tables. `listed`: ids added to list keys that lacked them."""

    damage: str
    kept: Path
    recovered: int
    unreadable: int
    listed: tuple[str, ...]


def open_verified(path: Path) -> plyvel.DB:
    """Open a database, or create one, and verify the checksum of every block. Raises Damage."""
    _check_files(path)
    try:
        db = open_leveldb(path, create=not has_data(path))
        try:
            require_readable(db, b"")
            for _ in db.iterator(include_value=False, verify_checksums=True, fill_cache=False):
                pass
        except BaseException:
            db.close()
            raise
    except plyvel.Error as error:
        if not is_damage(error):
            raise
        raise Damage(error_message(error).replace(f"{path}/", "")) from None
    return db


def require_readable(db: plyvel.DB, start: bytes) -> None:
    """Raise plyvel.Error if the first row from `start` on is in a damaged block or table. plyvel's own iterator ends
    without an error if there is no readable row behind."""
    db.raw_iterator(verify_checksums=True).seek(start)


def has_data(path: Path) -> bool:
    """Return whether the directory has data. A crash during the first open leaves empty files."""
    return any(file.suffix in (".ldb", ".sst", ".log") and file.stat().st_size for file in path.iterdir())


def repair_directory(path: Path, damage: str, now: datetime) -> Repair:
    """Copy the readable rows of a damaged directory to a new one and replace it by that.

    Raises StoreBeyondRepair; the directory is then unchanged.
    """
    built = clear_path(sibling_path(path, "building"))
    try:
        recovered, unreadable, listed = _rebuild_database(path, built)
        if not recovered and has_data(path):
            raise Damage("nothing in it can be read")
        kept = replace_directory(built, path, "corrupt", now)
    except (Damage, plyvel.Error, OSError) as error:
        raise StoreBeyondRepair(str(path), damage, error_message(error)) from None
    finally:
        clear_path(built)
    assert kept  # noqa: S101
    return Repair(damage, kept, recovered, unreadable, listed)


def _check_files(path: Path) -> None:
    """Check for damage that LevelDB does not detect. Raises Damage."""
    if has_data(path) and not (path / "CURRENT").exists():
        raise Damage("CURRENT is missing")
    for file in [*path.glob("*.log"), *path.glob("MANIFEST-*")]:
        if wal.has_hidden_records(file.read_bytes()):
            raise Damage(f"{file.name}: records behind a damaged length")


def _rebuild_database(path: Path, built: Path) -> tuple[int, int, tuple[str, ...]]:
    """Build a new database in `built`. Return the number of keys and of unreadable places, and the listed ids."""
    work = clear_path(sibling_path(path, "repairing"))
    try:
        shutil.copytree(path, work, ignore=shutil.ignore_patterns("LOCK"))
        damaged = _clean_logs(work)
        source, target = _open_copy(work), plyvel.DB(str(built), create_if_missing=True)
        try:
            errors = _copy_rows(source, target)
            listed = tuple(each for key in LISTS for each in _complete_list_key(target, key))
            return sum(1 for _ in target.iterator(include_value=False)), damaged + errors, listed
        finally:
            source.close()
            target.close()
    finally:
        clear_path(work)


def _clean_logs(work: Path) -> int:
    """Remove damaged records from the logs. Return the number of damaged places."""
    damaged = 0
    for file in work.glob("*.log"):
        salvage = wal.salvage_records(file.read_bytes())
        file.write_bytes(wal.encode_records(salvage.records))
        damaged += salvage.damaged
    return damaged


def _open_copy(work: Path) -> plyvel.DB:
    """Open the copy, with LevelDB's own repair as a last resort: it guesses which value is newer by the file number."""
    manifests = list(work.glob("MANIFEST-*"))
    if not any(wal.has_hidden_records(file.read_bytes()) for file in manifests):
        try:
            return plyvel.DB(str(work), create_if_missing=False)
        except plyvel.Error:
            pass
    plyvel.repair_db(str(work))
    return plyvel.DB(str(work), create_if_missing=False)


def _copy_rows(source: plyvel.DB, target: plyvel.DB) -> int:
    """Copy the rows of all blocks with a valid checksum. Return 1 if there were invalid blocks, else 0."""
    errors: list[str] = []
    rows = iterate_readable(source, errors)
    while part := list(islice(rows, BATCH)):
        with target.write_batch(sync=True) as batch:
            for key, value in part:
                if value != PLACEHOLDER:
                    batch.put(key, value)
    return int(bool(errors))


def iterate_readable(
    db: plyvel.DB, errors: list[str], start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the rows of [start, stop) that are not in a damaged block; `errors` gets the last error. LevelDB skips an
    invalid block, and then reports it again at each further step."""
    iterator = db.raw_iterator(verify_checksums=True, fill_cache=False)

    def move(step: Callable[..., None], *key: bytes) -> bool:
        try:
            step(*key)
        except plyvel.Error as error:
            errors[:] = [error_message(error)]
        return bool(iterator.valid())

    if not reverse:
        found = move(iterator.seek, start)
    elif stop is not None and move(iterator.seek, stop):
        found = move(iterator.prev)
    else:
        found = move(iterator.seek_to_last)
    while found and (start <= iterator.key() if reverse else stop is None or iterator.key() < stop):
        yield iterator.key(), iterator.value()
        found = move(iterator.prev if reverse else iterator.next)


def _complete_list_key(db: plyvel.DB, key: str) -> list[str]:
    """Add records that are missing in their list key, as they would be ignored. Return the added ids."""
    start = f"{key}:".encode()
    records = {
        raw[len(start) :].decode(errors="replace"): _parse_json(value) for raw, value in db.iterator(prefix=start)
    }
    listed = _parse_json(db.get(key.encode()))
    named = [each for each in listed if isinstance(each, str)] if isinstance(listed, list) else []
    missing = sort_by_creation({each: record for each, record in records.items() if each not in set(named)})
    if missing:
        db.put(key.encode(), orjson.dumps([*named, *missing]), sync=True)
    return missing


def _parse_json(raw: bytes | None) -> Any:
    try:
        return None if raw is None else orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
