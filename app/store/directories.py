"""Putting one directory in the place of another, so that a crash at any moment leaves one of the two."""

from __future__ import annotations

import logging
import os
import shutil
from datetime import datetime
from itertools import count
from pathlib import Path

log = logging.getLogger(__name__)


def beside(path: Path, what: str) -> Path:
    """`pluto_core` → `pluto_core.<what>`."""
    return path.with_name(f"{path.name}.{what}")


def fresh(path: Path) -> Path:
    """A place to build in; what an interrupted attempt left there is gone, and so is a link that leads elsewhere."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    shutil.rmtree(path, ignore_errors=True)
    return path


def make_private(path: Path) -> None:
    """Makes a directory of our own for its owner only, or an existing one private. The directory that holds it must
    exist and keeps its mode: others may use it, too. Raises OSError."""
    path.mkdir(mode=0o700, exist_ok=True)
    if path.stat().st_mode & 0o077:
        try:
            path.chmod(0o700)
        except PermissionError:
            log.warning("others may read what is stored: the directory is not ours to close", extra={"path": str(path)})


def put_in_place(built: Path, path: Path, reason: str, now: datetime) -> Path | None:
    """`built`, which is complete, becomes `path`. Returns where the former `path` is kept now: `<path>.<reason>-<UTC>`;
    None where there was none. `finish` does the rest after a crash."""
    new = fresh(beside(path, "new"))
    fsync_directory(built)
    built.rename(new)
    fsync_directory(path.parent)
    kept = None
    if path.exists():
        kept = _unused(beside(path, f"{reason}-{now:%Y%m%dT%H%M%SZ}"))
        path.rename(kept)
        fsync_directory(path.parent)
    new.rename(path)
    fsync_directory(path.parent)
    return kept


def finish(path: Path) -> None:
    """After a crash in `put_in_place`: goes on where the former directory was out of its place already."""
    new = beside(path, "new")
    if not new.exists():
        return
    if path.exists():
        shutil.rmtree(new)
    else:
        new.rename(path)
    fsync_directory(path.parent)


def fsync_directory(directory: Path | int) -> None:
    """Write a directory's entries (new, renamed and deleted files) to disk. `directory`: its path or open descriptor.

    Raises OSError.
    """
    if isinstance(directory, int):
        os.fsync(directory)
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unused(path: Path) -> Path:
    if not path.exists():
        return path
    return next(each for number in count(2) if not (each := path.with_name(f"{path.name}-{number}")).exists())
