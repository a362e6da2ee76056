"""One LevelDB directory: opened once per process, after fork, and written from one thread."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import gevent
import orjson
import plyvel
from gevent.threadpool import ThreadPool

from app.clock import Clock
from app.errors import StoreLocked

log = logging.getLogger(__name__)

OPEN_PATIENCE_SECONDS = 10.0


class DataDirLock:
    """The right to use a data directory, held by an flock of our own.

    LevelDB's own lock is POSIX fcntl: a second open in the same process fails and thereby drops it, so it cannot be the
    one that counts.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "pluto.lock"
        self._file: Any = None

    def acquire(self) -> None:
        """Raises StoreLocked when another process holds it. Makes the directory, for its owner only."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.parent.chmod(0o700)
        file = self._path.open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise StoreLocked(str(self._path.parent)) from None
        self._file = file

    def release(self) -> None:
        if self._file:
            self._file.close()
            self._file = None


class Database:
    """Keys are text, values JSON. Reads are inline; every write goes through one thread, in the order in which it was
    asked for.

    A write that is still queued when a later one is asked for reaches the disk first: a telemetry batch can never undo
    a delete.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writes = 0
        self._db: plyvel.DB | None = None
        self._writer: ThreadPool | None = None

    @property
    def is_open(self) -> bool:
        return self._db is not None

    def open(self, clock: Clock) -> None:
        """Waits up to 10 s for a predecessor (a gunicorn worker being replaced) to let go of LevelDB's lock."""
        os.umask(0o077)
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        until = clock.monotonic() + OPEN_PATIENCE_SECONDS
        while True:
            try:
                self._db = plyvel.DB(str(self.path), create_if_missing=True)
                break
            except plyvel.IOError as error:
                if "lock" not in str(error).lower() or clock.monotonic() > until:
                    raise
            gevent.sleep(0.25)
        self._writer = ThreadPool(1)

    def close(self) -> None:
        """Finishes what is queued, then closes. Idempotent."""
        if self._writer:
            self._writer.join()
            self._writer.kill()
            self._writer = None
        if self._db:
            self._db.close()
            self._db = None

    def get(self, key: str) -> Any | None:
        """The parsed value; None when there is none or it is no JSON (logged)."""
        raw = self._open_db().get(key.encode())
        return None if raw is None else self._parsed(key, raw)

    def scan(self, prefix: str) -> Iterator[tuple[str, Any]]:
        """Every key below `prefix` with its parsed value, in key order; values that are no JSON are left out
        (logged)."""
        for raw_key, raw in self._open_db().iterator(prefix=prefix.encode()):
            key = raw_key.decode(errors="replace")
            value = self._parsed(key, raw)
            if value is not None:
                yield key, value

    def write(self, puts: Mapping[str, Any], deletes: Iterable[str] = (), *, sync: bool = True) -> None:
        """One atomic batch; `sync` waits for the disk. Values may be JSON-able objects or ready bytes. Returns when
        written."""
        encoded = {
            key.encode(): value if isinstance(value, bytes) else orjson.dumps(value) for key, value in puts.items()
        }
        gone = [key.encode() for key in deletes]
        if self._writer is None:
            raise RuntimeError("the store is not open")
        self._writer.spawn(self._write, encoded, gone, sync).get()

    def compact(self, prefix: str) -> None:
        """Rewrites what stands below `prefix`: until LevelDB does so by itself, its files hold overwritten values as
        well."""
        if self._writer is None:
            raise RuntimeError("the store is not open")
        start = prefix.encode()
        self._writer.spawn(lambda: self._open_db().compact_range(start=start, stop=start + b"\xff")).get()

    def _write(self, puts: dict[bytes, bytes], deletes: list[bytes], sync: bool) -> None:
        with self._open_db().write_batch(sync=sync) as batch:
            for key, value in puts.items():
                batch.put(key, value)
            for key in deletes:
                batch.delete(key)
        self.writes += 1

    def _open_db(self) -> plyvel.DB:
        if self._db is None:
            raise RuntimeError("the store is not open")
        return self._db

    def _parsed(self, key: str, raw: bytes) -> Any | None:
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError:
            log.error("a stored value is no JSON and was left alone", extra={"key": key})
            return None
