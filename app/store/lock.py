"""Who may use a data directory, and a LevelDB in it."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Any

from app.clock import Clock
from app.errors import StoreLocked

PATIENCE_SECONDS = 10.0


class DataDirLock:
    """The right to use a data directory, held by an flock of our own.

    LevelDB's own lock is POSIX fcntl: a second open in the same process fails and thereby drops it, so it cannot be the
    one that counts.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "pluto.lock"
        self._file: Any = None

    def acquire(self) -> None:
        """Raises StoreLocked when another process holds it. Makes the directory, for its owner only; one that is there
        may be shared with others and keeps its mode."""
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


def wait_until_free(path: Path, clock: Clock) -> None:
    """Waits up to 10 s for a predecessor (a gunicorn worker being replaced) to let go of LevelDB's lock on `path`.
    Raises StoreLocked. Never while this process has it open: looking would drop the lock."""
    import gevent  # gunicorn's master, which holds the lock of the data directory, does without

    until = clock.monotonic() + PATIENCE_SECONDS
    while not is_free(path):
        if clock.monotonic() > until:
            raise StoreLocked(str(path))
        gevent.sleep(0.25)


def is_free(path: Path) -> bool:
    """Whether nobody has this LevelDB open, the original included."""
    with (path / "LOCK").open("a") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True
