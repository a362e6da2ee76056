"""A database that never keeps the service from starting and may be replaced by an empty one: history, events."""

from __future__ import annotations

import logging
import os

import plyvel

from app.clock import Clock
from app.errors import StoreDamaged, StoreError, StoreLocked, StoreUnwritable
from app.store import directories
from app.store.database import Database
from app.store.directory_identity import read_identity
from app.store.leveldb import open_leveldb
from app.store.leveldb_errors import convert_error, error_message, is_damage
from app.store.repair import Repair

log = logging.getLogger(__name__)


class ExpendableDatabase(Database):
    """Unlike the others, it is not verified at startup: with 1,000 devices the history has gigabytes, and each of its
    blocks has a checksum of its own. One that cannot be opened is renamed and kept, and an empty one takes its
    place."""

    _clock: Clock

    def open_or_disable(self, clock: Clock) -> None:
        """Open the database. On an error it is off until the next start; `failure` has the reason."""
        try:
            self.open(clock)
        except (StoreError, StoreLocked) as error:
            self.failure = error if isinstance(error, StoreError) else StoreUnwritable(str(self.path), str(error))
            details = {"path": str(self.path), "reason": str(error)}
            log.error("a database is off; the service runs without it", extra=details)

    def _open_or_repair(self, clock: Clock) -> plyvel.DB:
        self._clock = clock
        try:
            db = self._open_or_replace()
            self._directory_fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except (plyvel.Error, OSError) as error:
            raise convert_error(error, self.path) from None
        return db

    def _reopen_database(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
        self._db = self._open_or_replace()

    def _open_or_replace(self) -> plyvel.DB:
        if isinstance(self.failure, StoreDamaged):  # found by a write, when LevelDB merged tables
            self._quarantine_directory(str(self.failure))
        try:
            db = open_leveldb(self.path, create=True, paranoid=False)
        except plyvel.Error as error:
            if not is_damage(error):
                raise
            self._quarantine_directory(error_message(error).replace(f"{self.path}/", ""))
            db = open_leveldb(self.path, create=True, paranoid=False)
        self._identity = read_identity(self.path)
        return db

    def _quarantine_directory(self, damage: str) -> None:
        empty = directories.clear_path(directories.sibling_path(self.path, "building"))
        empty.mkdir(mode=0o700)
        kept = directories.replace_directory(empty, self.path, "corrupt", self._clock.now())
        self.repair = Repair(damage, kept or self.path, 0, 0, ())
