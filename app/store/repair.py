"""Whether a LevelDB directory is whole, and what is made of one that is not. No start is empty, or shorter, in silence.

LevelDB alone would do both: without CURRENT it begins anew, and what a damaged log held it leaves out.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import plyvel

from app.errors import StoreBeyondRepair
from app.store import wal
from app.store.directories import beside, fresh, put_in_place
from app.store.faults import is_damage, sentence
from app.store.layout import LISTS, oldest_first
from app.store.leveldb import NOTHING, open_leveldb

BATCH = 1000


class Damage(Exception):
    """What is wrong with a directory."""


@dataclass(frozen=True, slots=True)
class Repair:
    """What was done. `kept`: where the damaged directory is now, untouched. `recovered`: keys. `unreadable`: places in
    logs and tables of which nothing could be read. `listed`: ids that their list no longer named."""

    damage: str
    kept: Path
    recovered: int
    unreadable: int
    listed: tuple[str, ...]


def open_whole(path: Path) -> plyvel.DB:
    """Opens a directory, or makes one, after every block in it was read and found right. Raises Damage."""
    _look(path)
    try:
        db = open_leveldb(path, create=not holds_data(path))
        try:
            for _ in db.iterator(include_value=False, verify_checksums=True, fill_cache=False):
                pass
        except BaseException:
            db.close()
            raise
    except plyvel.Error as error:
        if not is_damage(error):
            raise
        raise Damage(sentence(error).replace(f"{path}/", "")) from None
    return db


def holds_data(path: Path) -> bool:
    """Whether anything was ever written here. A crash in the first moment of all leaves files with nothing in them."""
    return any(file.suffix in (".ldb", ".sst", ".log") and file.stat().st_size for file in path.iterdir())


def repair(path: Path, damage: str, now: datetime) -> Repair:
    """Puts what can be read of a damaged directory into a new one, which takes its place. Raises StoreBeyondRepair; the
    directory is then as it was."""
    built = fresh(beside(path, "building"))
    try:
        recovered, unreadable, listed = _rebuild(path, built)
        if not recovered and holds_data(path):
            raise Damage("nothing in it can be read")
        kept = put_in_place(built, path, "corrupt", now)
    except (Damage, plyvel.Error, OSError) as error:
        raise StoreBeyondRepair(str(path), damage, sentence(error)) from None
    finally:
        fresh(built)
    assert kept  # noqa: S101
    return Repair(damage, kept, recovered, unreadable, listed)


def _look(path: Path) -> None:
    """For what LevelDB does not see. Raises Damage."""
    if holds_data(path) and not (path / "CURRENT").exists():
        raise Damage("CURRENT is missing")
    for file in [*path.glob("*.log"), *path.glob("MANIFEST-*")]:
        if wal.overlooks(file.read_bytes()):
            raise Damage(f"{file.name}: records behind a damaged length")


def _rebuild(path: Path, built: Path) -> tuple[int, int, tuple[str, ...]]:
    """How many keys `built` has, how many places could not be read, and what was added to lists."""
    work = fresh(beside(path, "repairing"))
    try:
        shutil.copytree(path, work, ignore=shutil.ignore_patterns("LOCK"))
        damaged = _clean_logs(work)
        source, target = _opened(work), plyvel.DB(str(built), create_if_missing=True)
        try:
            complaints = _copy(source, target)
            listed = tuple(each for key in LISTS for each in _complete_list(target, key))
            return sum(1 for _ in target.iterator(include_value=False)), damaged + complaints, listed
        finally:
            source.close()
            target.close()
    finally:
        fresh(work)


def _clean_logs(work: Path) -> int:
    """Leaves in the logs only what is right; returns at how many places there was something else."""
    damaged = 0
    for file in work.glob("*.log"):
        salvage = wal.salvage(file.read_bytes())
        file.write_bytes(wal.framed(salvage.records))
        damaged += salvage.damaged
    return damaged


def _opened(work: Path) -> plyvel.DB:
    """LevelDB's own repair is a last resort: it guesses which of two values is the newer, by the number of the file."""
    manifests = list(work.glob("MANIFEST-*"))
    if not any(wal.overlooks(file.read_bytes()) for file in manifests):
        try:
            return plyvel.DB(str(work), create_if_missing=False)
        except plyvel.Error:
            pass
    plyvel.repair_db(str(work))
    return plyvel.DB(str(work), create_if_missing=False)


def _copy(source: plyvel.DB, target: plyvel.DB) -> int:
    """Every row in a block whose checksum is right. Returns 1 when there were others, else 0."""
    complaints: list[str] = []
    rows = _rows(source, complaints)
    while part := list(islice(rows, BATCH)):
        with target.write_batch(sync=True) as batch:
            for key, value in part:
                if value != NOTHING:
                    batch.put(key, value)
    return int(bool(complaints))


def _rows(source: plyvel.DB, complaints: list[str]) -> Iterator[tuple[bytes, bytes]]:
    """LevelDB passes over a bad block, and complains about it at each step from there on."""
    iterator = source.raw_iterator(verify_checksums=True, fill_cache=False)
    step = iterator.seek_to_first
    while True:
        try:
            step()
        except plyvel.Error as error:
            complaints[:] = [str(error)]
        if not iterator.valid():
            break
        yield iterator.key(), iterator.value()
        step = iterator.next


def _complete_list(db: plyvel.DB, key: str) -> list[str]:
    """A record that its list no longer names would be forgotten. Returns whose was added."""
    start = f"{key}:".encode()
    records = {raw[len(start) :].decode(errors="replace"): _parsed(value) for raw, value in db.iterator(prefix=start)}
    listed = _parsed(db.get(key.encode()))
    named = [each for each in listed if isinstance(each, str)] if isinstance(listed, list) else []
    missing = oldest_first({each: record for each, record in records.items() if each not in set(named)})
    if missing:
        db.put(key.encode(), orjson.dumps([*named, *missing]), sync=True)
    return missing


def _parsed(raw: bytes | None) -> Any:
    try:
        return None if raw is None else orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
