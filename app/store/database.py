"""One LevelDB database: opened once per process, after the fork, and written from one thread."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import plyvel
from gevent.monkey import get_original

from app.clock import Clock
from app.errors import StoreClosed, StoreDirectoryGone, StoreError, StoreUnwritable
from app.store import directories
from app.store.directory_identity import Identity, read_identity
from app.store.leveldb import PLACEHOLDER, open_leveldb
from app.store.leveldb_errors import convert_error, probe_disk
from app.store.lock import wait_until_unlocked
from app.store.nesting import MAX_DEPTH, is_too_deep, remove_deep_parts
from app.store.repair import Damage, Repair, open_verified, repair_directory, require_readable
from app.store.writer_thread import WriterThread

log = logging.getLogger(__name__)

ROWS_PER_BATCH = 256
LAST_CHARACTER = "\U0010ffff"


class Database:
    """Stores JSON values under text keys. Reads run in the caller; all writes run in one thread, in the order of calls.

    The order guarantees that a queued telemetry batch never undoes a later delete. A failed write has no effect. After
    a failed write the database is reopened before the next one: LevelDB would append to the torn record that a full
    disk left in its log, and would lose the acknowledged writes behind it at the next open.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writes = 0
        self.repair: Repair | None = None
        self.failure: StoreError | None = None
        self._db: plyvel.DB | None = None
        self._writer: WriterThread | None = None
        self._values_before: dict[bytes, bytes | None] = {}
        self._failure_logged = False
        self._directory_fd = -1
        self._identity: Identity | None = None
        # An OS lock, not a gevent one: the writer thread reopens the database while greenlets read it.
        self._handle_lock = get_original("_thread", "allocate_lock")()

    @property
    def is_open(self) -> bool:
        return self._writer is not None

    def open(self, clock: Clock) -> None:
        """Open or create the database. A damaged one is repaired first, in the writer thread; `repair` has the result.

        Raises StoreError, and StoreLocked if another process keeps it open for more than 10 s.
        """
        os.umask(0o077)
        try:
            directories.finish_replacement(self.path)
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            directories.make_private(self.path)
            directories.fsync_directory(self.path.parent)
            wait_until_unlocked(self.path, clock)
        except OSError as error:
            raise convert_error(error, self.path) from None
        writer = WriterThread()
        try:
            self._db = writer.run_in_thread(self._open_or_repair, clock)
        except BaseException:
            writer.close()
            raise
        self._writer = writer
        if self.repair:
            log.error(
                "a damaged store was repaired; the damaged files are kept",
                extra={"path": str(self.path)} | asdict(self.repair),
            )

    @property
    def is_directory_unchanged(self) -> bool:
        """True if the directory still holds the files that are open. Costs two `stat` calls."""
        return self._identity is not None and read_identity(self.path) == self._identity

    def close(self) -> None:
        """Finish the queued writes, then close the database. Idempotent."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        if self._db:
            self._db.close()
            self._db = None
        if self._directory_fd >= 0:
            os.close(self._directory_fd)
            self._directory_fd = -1

    def read_value(self, key: str) -> Any | None:
        """Return the parsed value; None if there is none, or if it is invalid JSON (logged)."""
        with self._locked_database() as db:
            raw = db.get(key.encode(), verify_checksums=True)
        return None if raw is None else self._parse_value(key, raw)

    def scan_prefix(self, prefix: str) -> Iterator[tuple[str, Any]]:
        """Yield each key with this prefix and its parsed value, in key order; invalid JSON is skipped (logged)."""
        for raw_key, raw in self._read_range(prefix.encode(), _after_prefix(prefix)):
            key = raw_key.decode(errors="replace")
            value = self._parse_value(key, raw)
            if value is not None:
                yield key, value

    def list_keys(self, prefix: str) -> list[str]:
        return [key.decode() for key in self._read_range(prefix.encode(), _after_prefix(prefix), include_value=False)]

    def read_rows(
        self, start: str, stop: str, *, reverse: bool = False, limit: int | None = None
    ) -> list[tuple[str, bytes]]:
        """Return keys from `start` up to, but not including, `stop`, with their raw values, at most `limit`."""
        rows = self._read_range(start.encode(), stop.encode(), limit, reverse=reverse)
        return [(key.decode(errors="replace"), value) for key, value in rows]

    def _read_range(
        self,
        start: bytes,
        stop: bytes | None,
        limit: int | None = None,
        *,
        reverse: bool = False,
        include_value: bool = True,
    ) -> list[Any]:
        """Return rows of [start, stop), or only their keys."""
        with self._locked_database() as db:
            rows = db.iterator(
                start=start, stop=stop, reverse=reverse, include_value=include_value, verify_checksums=True
            )
            found = list(islice(rows, limit))
            if not found:
                require_readable(db, start)
            return found

    def snapshot_rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Return an iterator over a snapshot of all rows: it does not see later writes.

        The iterator raises StoreClosed if the database is closed or reopened in the meantime, StoreDamaged.
        """
        with self._locked_database() as db:
            require_readable(db, b"")
            iterator = db.iterator(verify_checksums=True, fill_cache=False)  # LevelDB iterators are snapshots
        return self._iterate_rows(iterator)

    def _iterate_rows(self, iterator: Any) -> Iterator[tuple[bytes, bytes]]:
        while True:
            with self._handle_lock:
                try:
                    part = list(islice(iterator, ROWS_PER_BATCH))
                except plyvel.Error as error:
                    raise convert_error(error, self.path) from None
                except RuntimeError:
                    raise StoreClosed(str(self.path)) from None
            if not part:
                return
            yield from (row for row in part if row[1] != PLACEHOLDER)

    def write_batch(
        self,
        puts: Mapping[str, Any],
        deletes: Iterable[str] = (),
        *,
        delete_prefixes: Iterable[str] = (),
        sync: bool = True,
    ) -> None:
        """Write one atomic batch. Values are JSON-serialisable objects or encoded bytes; `sync` waits for the disk.

        `delete_prefixes`: every key below them is deleted that the writes before this one have written. Raises
        StoreError if the batch was not written.
        """
        encoded = {
            key.encode(): value if isinstance(value, bytes) else orjson.dumps(value) for key, value in puts.items()
        }
        deleted = [key.encode() for key in deletes]
        prefixes = [prefix.encode() for prefix in delete_prefixes]
        self._run_in_writer(self._write_with_retry, encoded, deleted, sync, prefixes)
        self.writes += 1

    def compact_prefix(self, prefix: str) -> None:
        """Remove overwritten and deleted values below `prefix` from LevelDB's files.

        LevelDB alone keeps them until its next compaction. Does nothing while the database cannot be written.
        """
        self._run_in_writer(self._compact_range, prefix.encode(), f"{prefix}{LAST_CHARACTER}".encode())

    def merge_range(self, start: str, stop: str) -> None:
        """Make LevelDB write its memory to a table, and merge the tables of a range. Does nothing while the database
        cannot be written."""
        self._run_in_writer(self._merge_range, start.encode(), stop.encode())

    def retry_writes(self) -> bool:
        """Return whether the database can be written; after a failed write, try to reopen it."""
        if self.is_open and not (self.failure is None and self.is_directory_unchanged):
            try:
                self._run_in_writer(self._recover_from_failure)
            except StoreError:
                return False
        return True

    # The methods below run in the writer thread.

    def _open_or_repair(self, clock: Clock) -> plyvel.DB:
        try:
            try:
                db = open_verified(self.path)
            except Damage as damage:
                self.repair = repair_directory(self.path, str(damage), clock.now())
                db = open_verified(self.path)
            self._directory_fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            directories.fsync_directory(self._directory_fd)
        except (plyvel.Error, OSError) as error:
            raise convert_error(error, self.path) from None
        self._identity = read_identity(self.path)
        return db

    def _write_with_retry(
        self, puts: Mapping[bytes, bytes], keys: list[bytes], sync: bool, prefixes: Sequence[bytes] = ()
    ) -> None:
        """Write the batch; on failure reopen the database and try once more, as the cause may be temporary."""
        for _ in range(2):
            self._recover_from_failure()
            before: dict[bytes, bytes | None] = {}
            try:
                deletes = [*keys, *(key for prefix in prefixes for key in self._keys_below(prefix))]
                if sync:
                    before = {key: self._require_open().get(key) for key in [*puts, *deletes]}
                self._apply_batch(puts, deletes, sync)
                return
            except (plyvel.Error, OSError) as error:
                self.failure, self._values_before = convert_error(error, self.path), before
        raise self.failure or StoreClosed(str(self.path))

    def _keys_below(self, prefix: bytes) -> Iterable[bytes]:
        keys: Iterable[bytes] = self._require_open().iterator(prefix=prefix, include_value=False, verify_checksums=True)
        return keys

    def _require_same_directory(self) -> None:
        """Raise StoreDirectoryGone if the directory was removed or replaced.

        LevelDB would keep writing to the deleted files. A directory in its place is not opened: its content does not
        match the state in memory.
        """
        if not self.is_directory_unchanged:
            self.failure = StoreDirectoryGone(str(self.path))
            raise self.failure

    def _apply_batch(self, puts: Mapping[bytes, bytes], deletes: Iterable[bytes], sync: bool) -> None:
        with self._require_open().write_batch(sync=sync) as batch:
            for key, value in puts.items():
                batch.put(key, value)
            for key in deletes:
                batch.delete(key)
        if sync:
            # LevelDB syncs the content of a new log file, but not its directory entry.
            directories.fsync_directory(self._directory_fd)

    def _recover_from_failure(self) -> None:
        """After a failed write: reopen the database and restore the values that the failed write may have changed.

        Raises StoreError; StoreDirectoryGone if the directory was removed or replaced.
        """
        self._require_same_directory()
        if self.failure is None:
            return
        try:
            probe_disk(self.path)
            self._reopen_database()
            kept = {key: value for key, value in self._values_before.items() if value is not None}
            self._apply_batch(kept, self._values_before.keys() - kept.keys(), sync=True)
        except (plyvel.Error, OSError) as error:
            self.failure = convert_error(error, self.path)
            raise self.failure from None
        self.failure, self._values_before = None, {}

    def _reopen_database(self) -> None:
        with self._handle_lock:
            self._close_database()
            self._db = open_leveldb(self.path)

    def _close_database(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _merge_range(self, start: bytes, stop: bytes) -> None:
        if self.failure is None and self.is_directory_unchanged:
            self._require_open().compact_range(start=start, stop=stop)

    def _compact_range(self, start: bytes, stop: bytes) -> None:
        """Compact a range twice.

        The first pass writes LevelDB's memory to a table, including overwritten values, possibly at the lowest level,
        which LevelDB never merges with itself. So values are then written at both ends of the range: they end up in a
        higher level, and the second pass merges them into that table.
        """
        if self.failure is not None or not self.is_directory_unchanged:
            return
        self._require_open().compact_range(start=start, stop=stop)
        ends = {end: self._require_open().get(end) for end in (start, stop)}
        missing = [end for end, value in ends.items() if value is None]
        with suppress(StoreError):  # the failure is logged, and the next write starts with the recovery
            # A tombstone has no effect: LevelDB drops it before it reaches that level.
            self._write_with_retry({end: value or PLACEHOLDER for end, value in ends.items()}, [], False)
            self._require_open().compact_range(start=start, stop=stop)
            self._write_with_retry({}, missing, False)

    # The methods below run in any thread.

    def _run_in_writer(self, act: Callable[..., None], *arguments: Any) -> None:
        if self._writer is None:
            raise StoreClosed(str(self.path))
        try:
            self._writer.run_in_thread(act, *arguments)
        finally:
            self._log_failure_change()

    def _log_failure_change(self) -> None:
        """Log when writes start to fail and when they succeed again. Not in the writer thread: logging uses gevent."""
        if (self.failure is not None) == self._failure_logged:
            return
        self._failure_logged = not self._failure_logged
        if self.failure is not None:
            log.error("the store cannot be written", extra={"path": str(self.path), "reason": str(self.failure)})
        else:
            log.info("the store can be written again", extra={"path": str(self.path)})

    @contextmanager
    def _locked_database(self) -> Iterator[plyvel.DB]:
        with self._handle_lock:
            try:
                yield self._require_open()
            except plyvel.Error as error:
                raise convert_error(error, self.path) from None

    def _require_open(self) -> plyvel.DB:
        if self._db is None:
            path = str(self.path)
            raise StoreUnwritable(path, "it could not be opened again") if self.failure else StoreClosed(path)
        return self._db

    def _parse_value(self, key: str, raw: bytes) -> Any | None:
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError:
            log.error("a stored value is invalid JSON and was ignored", extra={"key": key})
            return None
        if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and is_too_deep(value):
            log.error("a stored value is nested too deeply and was read without those parts", extra={"key": key})
            value = remove_deep_parts(value)
        return value


def _after_prefix(prefix: str) -> bytes | None:
    """Return the first key behind all keys with this prefix; None if there is no such key. UTF-8 has no byte 255."""
    raw = prefix.encode()
    return raw[:-1] + bytes([raw[-1] + 1]) if raw else None
