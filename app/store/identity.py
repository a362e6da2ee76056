"""Whether a LevelDB directory is still the one that was opened."""

from __future__ import annotations

from pathlib import Path

Identity = tuple[int, int]


def identity_of(path: Path) -> Identity | None:
    """Device and inode of LOCK, which LevelDB makes once and keeps open; None where it, or CURRENT, is not there."""
    try:
        (path / "CURRENT").stat()
        lock = (path / "LOCK").stat()
    except OSError:
        return None
    return lock.st_dev, lock.st_ino
