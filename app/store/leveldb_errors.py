"""Converts errors of LevelDB and the disk into `app.errors`, and probes whether the disk can be written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import plyvel

from app.errors import StoreDamaged, StoreError, StoreFull, StoreUnwritable

# EFBIG: the process's limit on file sizes is reached.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PROBE_BYTES = 256 * 1024


def convert_error(error: Exception, path: Path) -> StoreError:
    """Return the StoreError for an error of plyvel or the OS. LevelDB gives the C library's message, but no errno."""
    message = error_message(error).replace(f"{path}/", "")
    if is_damage(error):
        return StoreDamaged(str(path), message)
    if getattr(error, "errno", None) in _FULL or any(os.strerror(number) in message for number in _FULL):
        return StoreFull(str(path))
    return StoreUnwritable(str(path), message.rsplit(": ", 1)[-1])


def is_damage(error: Exception) -> bool:
    """Return whether the data is corrupt. LevelDB reports a truncated file as an invalid argument."""
    return isinstance(error, plyvel.CorruptionError) or (
        isinstance(error, plyvel.Error) and os.strerror(errno.EINVAL) in error_message(error)
    )


def probe_disk(path: Path) -> None:
    """Write and remove a file as large as the space that reopening the database needs. Raises OSError."""
    size = PROBE_BYTES + sum(log.stat().st_size for log in path.glob("*.log"))
    file = path / "probe"
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        while size > 0:
            size -= os.write(descriptor, bytes(min(size, 65536)))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
        file.unlink()


def error_message(error: Exception) -> str:
    """Return an error's message as text: plyvel's messages are bytes."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    first = error.args[0] if error.args else ""
    return first.decode(errors="replace") if isinstance(first, bytes) else str(first)
