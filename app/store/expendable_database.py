"""A database that never keeps the service from starting and may be replaced by an empty one: history, events."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import plyvel

from app.clock import Clock
from app.errors import StoreDamaged, StoreError, StoreLocked, StoreUnwritable
from app.store import directories
from app.store.database import Database
from app.store.directory_identity import read_identity
from app.store.leveldb import open_leveldb
from app.store.leveldb_errors import convert_error, error_message, is_damage
from app.store.repair import Repair, has_data, iterate_readable

log = logging.getLogger(__name__)

MARKER = "DAMAGED"
# LevelDB's repair moves damaged tables to this directory.
LOST = "lost"
_RECOVERED = re.compile(r"Table #\d+: (\d+) entries (?:OK|repaired)")


class ExpendableDatabase(Database):
    """Unlike the others, it is not verified at startup: with 1,000 devices the history has gigabytes, and each of its
    blocks has a checksum of its own. A damaged one is repaired by LevelDB; if nothing can be recovered, it is renamed
    and kept, and an empty one takes its place.

    `damage`: what a read met while the service runs. Reads return the rows of the other blocks until the next start,
    which finds a marker file and repairs the database.
    """

    damage: str | None = None
    _clock: Clock

    def open_or_disable(self, clock: Clock) -> None:
        """Open the database. On an error it is off until the next start; `failure` has the reason."""
        try:
            self.open(clock)
        except (StoreError, StoreLocked) as error:
            self.failure = error if isinstance(error, StoreError) else StoreUnwritable(str(self.path), str(error))
            details = {"path": str(self.path), "reason": str(error)}
            log.error("a database is off; the service runs without it", extra=details)

    def read_value(self, key: str) -> Any | None:
        """Return the parsed value; None if there is none, or if it cannot be read."""
        # By a scan: after LevelDB's repair, its lookup of a key may find an older value than its iterators.
        rows = self.read_rows(key, f"{key}\0", limit=1)
        return self._parse_value(key, rows[0][1]) if rows else None

    def _read_range(
        self,
        start: bytes,
        stop: bytes | None,
        limit: int | None = None,
        *,
        reverse: bool = False,
        include_value: bool = True,
    ) -> list[Any]:
        try:
            return super()._read_range(start, stop, limit, reverse=reverse, include_value=include_value)
        except StoreDamaged as error:
            self._remember_damage(error)
        with self._locked_database() as db:
            rows = islice(iterate_readable(db, [], start, stop, reverse=reverse), limit)
            return [row if include_value else row[0] for row in rows]

    def snapshot_rows(self) -> Iterator[tuple[bytes, bytes]]:
        with self._watch_damage():
            return super().snapshot_rows()

    def _iterate_rows(self, iterator: Any) -> Iterator[tuple[bytes, bytes]]:
        with self._watch_damage():
            yield from super()._iterate_rows(iterator)

    @contextmanager
    def _watch_damage(self) -> Iterator[None]:
        try:
            yield
        except StoreDamaged as error:
            self._remember_damage(error)
            raise

    def _remember_damage(self, error: StoreDamaged) -> None:
        if self.damage is None:
            self.damage = error.reason
            log.error(
                "a part of a database is damaged and left out; the next start repairs it",
                extra={"path": str(self.path), "reason": error.reason},
            )
            with suppress(OSError):  # without the marker, the next read after the next start meets the damage again
                (self.path / MARKER).write_text(error.reason)

    # The methods below run in the writer thread.

    def _keys_below(self, prefix: bytes) -> Iterable[bytes]:
        try:
            return list(super()._keys_below(prefix))
        except plyvel.Error as error:
            if not is_damage(error):
                raise
        return [key for key, _ in iterate_readable(self._require_open(), [], prefix, prefix + b"\xff")]

    def _open_or_repair(self, clock: Clock) -> plyvel.DB:
        self._clock = clock
        try:
            db = self._open_or_replace(_read_marker(self.path))
            self._directory_fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except (plyvel.Error, OSError) as error:
            raise convert_error(error, self.path) from None
        return db

    def _reopen_database(self) -> None:
        with self._handle_lock:
            self._close_database()
        # Without the lock: a repair takes long, and readers would wait for it in the thread of the event loop. Until
        # then they get a StoreUnwritable.
        failure = self.failure
        # A write meets damage when LevelDB has merged tables.
        self._db = self._open_or_replace(failure.reason if isinstance(failure, StoreDamaged) else None)

    def _open_or_replace(self, damage: str | None) -> plyvel.DB:
        """Open the database. If it is damaged, repair it first; if nothing can be recovered, replace it."""
        try:
            db = self._open_or_repair_in_place(damage)
        except plyvel.Error as error:
            if not is_damage(error):
                raise
            self._quarantine_directory(self._describe_damage(error))
            db = open_leveldb(self.path, create=True)
        self.damage = None
        self._identity = read_identity(self.path)
        return db

    def _open_or_repair_in_place(self, damage: str | None) -> plyvel.DB:
        if damage is None and has_data(self.path) and not (self.path / "CURRENT").exists():
            damage = "CURRENT is missing"  # LevelDB would delete the tables
        if damage is None:
            try:
                return open_leveldb(self.path, create=True)
            except plyvel.Error as error:
                if not is_damage(error):
                    raise
                damage = self._describe_damage(error)
        self.repair = _repair_in_place(self.path, damage)
        return open_leveldb(self.path)

    def _describe_damage(self, error: plyvel.Error) -> str:
        return error_message(error).replace(f"{self.path}/", "")

    def _quarantine_directory(self, damage: str) -> None:
        empty = directories.clear_path(directories.sibling_path(self.path, "building"))
        empty.mkdir(mode=0o700)
        kept = directories.replace_directory(empty, self.path, "corrupt", self._clock.now())
        self.repair = Repair(damage, kept or self.path, 0, 0, ())


def _read_marker(path: Path) -> str | None:
    """Return the damage that an earlier process met; None if it met none."""
    try:
        return (path / MARKER).read_text(errors="replace")
    except FileNotFoundError:
        return None


def _repair_in_place(path: Path, damage: str) -> Repair:
    """Run LevelDB's repair, which verifies all tables and rewrites the damaged ones without their damaged blocks.
    Raises plyvel.Error, also if nothing was recovered."""
    was_empty, lost = not has_data(path), directories.clear_path(path / LOST)
    plyvel.repair_db(str(path), paranoid_checks=True)  # else it does not verify checksums
    # Not counted by a scan: all tables overlap for LevelDB now, and 1,200 of them took 15 s.
    recovered = sum(map(int, _RECOVERED.findall((path / "LOG").read_text(errors="replace"))))
    if not (recovered or was_empty):
        raise plyvel.CorruptionError("nothing in it can be read")
    (path / MARKER).unlink(missing_ok=True)
    return Repair(damage, lost, recovered, len(list(lost.glob("*.ldb"))), ())
