"""Replaces a directory by another one, so that a crash at any moment leaves one of the two."""

from __future__ import annotations

import logging
import os
import shutil
from datetime import datetime
from itertools import count
from pathlib import Path

log = logging.getLogger(__name__)


def sibling_path(path: Path, suffix: str) -> Path:
    """`pluto_core` → `pluto_core.<what>`."""
    return path.with_name(f"{path.name}.{suffix}")


def clear_path(path: Path) -> Path:
    """Remove a directory, file or symbolic link that an earlier attempt left at `path`, and return `path`."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    shutil.rmtree(path, ignore_errors=True)
    return path


def make_private(path: Path) -> None:
    """Create a directory with mode 0700, or set that mode on an existing one. Raises OSError.

    The parent directory must exist and keeps its mode: other programs may use it, too.
    """
    path.mkdir(mode=0o700, exist_ok=True)
    if path.stat().st_mode & 0o077:
        try:
            path.chmod(0o700)
        except PermissionError:
            log.warning("other users may read the store: its directory has another owner", extra={"path": str(path)})


def replace_directory(built: Path, path: Path, reason: str, now: datetime) -> Path | None:
    """Move the complete directory `built` to `path`. Return the new path of the former directory, or None.

    The former directory is kept as `<path>.<reason>-<UTC>`. After a crash, `finish_replacement` completes the move.
    """
    new = clear_path(sibling_path(path, "new"))
    fsync_directory(built)
    built.rename(new)
    fsync_directory(path.parent)
    kept = None
    if path.exists():
        kept = _unused_path(sibling_path(path, f"{reason}-{now:%Y%m%dT%H%M%SZ}"))
        path.rename(kept)
        fsync_directory(path.parent)
    new.rename(path)
    fsync_directory(path.parent)
    return kept


def finish_replacement(path: Path) -> None:
    """Complete a `replace_directory` that a crash interrupted, or undo it if the former directory was not yet moved."""
    new = sibling_path(path, "new")
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


def _unused_path(path: Path) -> Path:
    if not path.exists():
        return path
    return next(each for number in count(2) if not (each := path.with_name(f"{path.name}-{number}")).exists())
