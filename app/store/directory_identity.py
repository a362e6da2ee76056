"""Identifies a LevelDB directory, to detect that it was replaced or removed."""

from __future__ import annotations

from pathlib import Path

Identity = tuple[int, int]


def read_identity(path: Path) -> Identity | None:
    """Return device and inode of LOCK, which LevelDB creates once and keeps open; None without LOCK or CURRENT."""
    try:
        (path / "CURRENT").stat()
        lock = (path / "LOCK").stat()
    except OSError:
        return None
    return lock.st_dev, lock.st_ino
