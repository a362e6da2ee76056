"""One LevelDB directory: opened once per process, after fork, and written from one thread."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import plyvel
from gevent.monkey import get_original

from app.clock import Clock
from app.errors import StoreClosed, StoreError, StoreGone, StoreUnwritable
from app.store import directories
from app.store.depth import MAX_DEPTH, is_too_deep, without_deep_parts
from app.store.faults import fault, probe
from app.store.identity import Identity, identity_of
from app.store.leveldb import NOTHING, open_leveldb
from app.store.lock import wait_until_free
from app.store.repair import Damage, Repair, open_whole, repair
from app.store.writer import Writer

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 256
LAST = "\U0010ffff"


class Database:
    """Keys are text, values JSON. Reads are inline; every write goes through one thread, in the order in which it was
    asked for.

    A write that is still queued when a later one is asked for reaches the disk first: a telemetry batch can never undo
    a delete. A write that fails was never made. After one the database is opened anew before the next: LevelDB appends
    to the torn record that a full disk left in its log, and what it acknowledges there is gone when it is opened again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writes = 0
        self.repair: Repair | None = None
        self.failure: StoreError | None = None
        self._db: plyvel.DB | None = None
        self._writer: Writer | None = None
        self._before: dict[bytes, bytes | None] = {}
        self._said = False
        self._directory = -1
        self._identity: Identity | None = None
        # A lock of the system's, not gevent's: the writing thread opens anew what others read.
        self._handle = get_original("_thread", "allocate_lock")()

    @property
    def is_open(self) -> bool:
        return self._writer is not None

    def open(self, clock: Clock) -> None:
        """Opens it, or makes it; what is damaged is repaired first (`repair` says how), which may take its time: in the
        writing thread. Raises StoreError, StoreLocked when somebody else has it open for more than 10 s."""
        os.umask(0o077)
        try:
            directories.finish(self.path)
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            directories.make_private(self.path)
            directories.fsync_directory(self.path.parent)
            wait_until_free(self.path, clock)
        except OSError as error:
            raise fault(error, self.path) from None
        writer = Writer()
        try:
            self._db = writer.run(self._opened, clock)
        except BaseException:
            writer.close()
            raise
        self._writer = writer
        if self.repair:
            log.error(
                "a damaged store was repaired; the damaged one is kept",
                extra={"path": str(self.path)} | asdict(self.repair),
            )

    @property
    def is_in_place(self) -> bool:
        """Whether the files that are open are those in the directory. Costs two `stat`s."""
        return self._identity is not None and identity_of(self.path) == self._identity

    def close(self) -> None:
        """Finishes what is queued, then closes. Idempotent."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        if self._db:
            self._db.close()
            self._db = None
        if self._directory >= 0:
            os.close(self._directory)
            self._directory = -1

    def get(self, key: str) -> Any | None:
        """The parsed value; None when there is none or it is no JSON (logged)."""
        with self._reading() as db:
            raw = db.get(key.encode(), verify_checksums=True)
        return None if raw is None else self._parsed(key, raw)

    def scan(self, prefix: str) -> Iterator[tuple[str, Any]]:
        """Every key below `prefix` with its parsed value, in key order; values that are no JSON are left out
        (logged)."""
        with self._reading() as db:
            rows = list(db.iterator(prefix=prefix.encode(), verify_checksums=True))
        for raw_key, raw in rows:
            key = raw_key.decode(errors="replace")
            value = self._parsed(key, raw)
            if value is not None:
                yield key, value

    def keys(self, prefix: str) -> list[str]:
        with self._reading() as db:
            return [key.decode() for key in db.iterator(prefix=prefix.encode(), include_value=False)]

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Everything as it is now, whatever is written while it is read. The iterator raises StoreClosed when the
        database is closed, or opened anew, meanwhile."""
        with self._reading() as db:
            iterator = db.iterator(verify_checksums=True, fill_cache=False)  # of LevelDB's: sees no later write
        return self._rest(iterator)

    def _rest(self, iterator: Any) -> Iterator[tuple[bytes, bytes]]:
        while True:
            with self._handle:
                try:
                    part = list(islice(iterator, ROWS_AT_ONCE))
                except (plyvel.Error, RuntimeError):
                    raise StoreClosed(str(self.path)) from None
            if not part:
                return
            yield from (row for row in part if row[1] != NOTHING)

    def write(self, puts: Mapping[str, Any], deletes: Iterable[str] = (), *, sync: bool = True) -> None:
        """One atomic batch; `sync` waits for the disk. Values may be JSON-able objects or ready bytes. Returns when
        written; raises StoreError when not."""
        encoded = {
            key.encode(): value if isinstance(value, bytes) else orjson.dumps(value) for key, value in puts.items()
        }
        gone = [key.encode() for key in deletes]
        self._in_writer(self._write, encoded, gone, sync)
        self.writes += 1

    def compact(self, prefix: str) -> None:
        """Rewrites what stands below `prefix`: until LevelDB does so by itself, its files hold overwritten values as
        well. Not while it cannot be written."""
        self._in_writer(self._compact, prefix.encode(), f"{prefix}{LAST}".encode())

    def retry(self) -> bool:
        """Whether it can be written; tries, where a write failed."""
        if self.is_open and not (self.failure is None and self.is_in_place):
            try:
                self._in_writer(self._mend)
            except StoreError:
                return False
        return True

    # In the writing thread.

    def _opened(self, clock: Clock) -> plyvel.DB:
        try:
            try:
                db = open_whole(self.path)
            except Damage as damage:
                self.repair = repair(self.path, str(damage), clock.now())
                db = open_whole(self.path)
            self._directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            directories.fsync_directory(self._directory)
        except (plyvel.Error, OSError) as error:
            raise fault(error, self.path) from None
        self._identity = identity_of(self.path)
        return db

    def _write(self, puts: Mapping[bytes, bytes], deletes: list[bytes], sync: bool) -> None:
        """Tries twice: what stood in the way may be gone by now."""
        for _ in range(2):
            self._mend()
            before: dict[bytes, bytes | None] = {}
            try:
                if sync:
                    before = {key: self._open_db().get(key) for key in [*puts, *deletes]}
                self._apply(puts, deletes, sync)
                return
            except (plyvel.Error, OSError) as error:
                self.failure, self._before = fault(error, self.path), before
        raise self.failure or StoreClosed(str(self.path))

    def _require_in_place(self) -> None:
        """Raises StoreGone. LevelDB would go on writing to files that have no name any more. What is in another's place
        is not opened: memory knows nothing of it."""
        if not self.is_in_place:
            self.failure = StoreGone(str(self.path))
            raise self.failure

    def _apply(self, puts: Mapping[bytes, bytes], deletes: Iterable[bytes], sync: bool) -> None:
        with self._open_db().write_batch(sync=sync) as batch:
            for key, value in puts.items():
                batch.put(key, value)
            for key in deletes:
                batch.delete(key)
        if sync:
            # LevelDB syncs a new log's bytes, but not that there is such a file.
            directories.fsync_directory(self._directory)

    def _mend(self) -> None:
        """After a failed write: opens anew, and takes back what the failed one may have left. Raises StoreError, before
        any write StoreGone where the directory is not the one that was opened."""
        self._require_in_place()
        if self.failure is None:
            return
        try:
            probe(self.path)
            with self._handle:
                self._open_anew()
            kept = {key: value for key, value in self._before.items() if value is not None}
            self._apply(kept, self._before.keys() - kept.keys(), sync=True)
        except (plyvel.Error, OSError) as error:
            self.failure = fault(error, self.path)
            raise self.failure from None
        self.failure, self._before = None, {}

    def _open_anew(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
        self._db = open_leveldb(self.path)

    def _compact(self, start: bytes, stop: bytes) -> None:
        """Twice. The first time LevelDB makes a table of what is in memory, overwritten values and all, and may put it
        at the bottom, which it never merges with itself. So something is written at both ends of the range: what comes
        to lie above a table is merged into it."""
        if self.failure is not None or not self.is_in_place:
            return
        self._open_db().compact_range(start=start, stop=stop)
        ends = {end: self._open_db().get(end) for end in (start, stop)}
        missing = [end for end, value in ends.items() if value is None]
        with suppress(StoreError):  # it is said, and the next write begins with it
            # A tombstone would not do: it is dropped on the way down.
            self._write({end: value or NOTHING for end, value in ends.items()}, [], False)
            self._open_db().compact_range(start=start, stop=stop)
            self._write({}, missing, False)

    # Wherever.

    def _in_writer(self, act: Callable[..., None], *arguments: Any) -> None:
        if self._writer is None:
            raise StoreClosed(str(self.path))
        try:
            self._writer.run(act, *arguments)
        finally:
            self._say()

    def _say(self) -> None:
        """Once when writing begins to fail, once when it works again. Not in the thread: logging's locks are
        gevent's."""
        if (self.failure is not None) == self._said:
            return
        self._said = not self._said
        if self.failure is not None:
            log.error("the store cannot be written", extra={"path": str(self.path), "reason": str(self.failure)})
        else:
            log.info("the store is written again", extra={"path": str(self.path)})

    @contextmanager
    def _reading(self) -> Iterator[plyvel.DB]:
        with self._handle:
            try:
                yield self._open_db()
            except plyvel.Error as error:
                raise fault(error, self.path) from None

    def _open_db(self) -> plyvel.DB:
        if self._db is None:
            path = str(self.path)
            raise StoreUnwritable(path, "it could not be opened again") if self.failure else StoreClosed(path)
        return self._db

    def _parsed(self, key: str, raw: bytes) -> Any | None:
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError:
            log.error("a stored value is no JSON and was left alone", extra={"key": key})
            return None
        if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and is_too_deep(value):
            log.error("a stored value is nested too deeply and is read without those parts", extra={"key": key})
            value = without_deep_parts(value)
        return value
