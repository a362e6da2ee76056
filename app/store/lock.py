"""Locks that keep two processes from using the same data directory or LevelDB."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Any

from app.clock import Clock
from app.errors import StoreLocked

LOCK_TIMEOUT_SECONDS = 10.0


class DataDirLock:
    """An exclusive flock on a data directory.

    LevelDB's own lock is not enough: it is a POSIX fcntl lock, which is released when a second open in the same process
    fails.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "pluto.lock"
        self._file: Any = None

    def acquire(self) -> None:
        """Acquire the lock. Creates a missing directory with mode 0700; an existing one keeps its mode.

        Raises StoreLocked if another process holds the lock.
        """
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
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


def wait_until_unlocked(path: Path, clock: Clock) -> None:
    """Wait up to 10 s until another process (a gunicorn worker being replaced) releases LevelDB's lock on `path`.

    Do not call it while this process has the database open: the check would release the lock. Raises StoreLocked.
    """
    import gevent  # here, because gunicorn's master imports this module for DataDirLock and does not use gevent

    deadline = clock.monotonic() + LOCK_TIMEOUT_SECONDS
    while not is_unlocked(path):
        if clock.monotonic() > deadline:
            raise StoreLocked(str(path))
        gevent.sleep(0.25)


def is_unlocked(path: Path) -> bool:
    """Return whether no process, such as the Node backend, has this LevelDB open."""
    with (path / "LOCK").open("a") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True
