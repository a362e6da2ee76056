"""What LevelDB and the disk say, in our own errors; and whether the disk takes something again."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import plyvel

from app.errors import StoreDamaged, StoreError, StoreFull, StoreUnwritable

# EFBIG is what a limit on the size of files says.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
ROOM = 256 * 1024


def fault(error: Exception, path: Path) -> StoreError:
    """LevelDB gives no number, only the C library's sentence."""
    said = sentence(error).replace(f"{path}/", "")
    if is_damage(error):
        return StoreDamaged(str(path), said)
    if getattr(error, "errno", None) in _FULL or any(os.strerror(number) in said for number in _FULL):
        return StoreFull(str(path))
    return StoreUnwritable(str(path), said.rsplit(": ", 1)[-1])


def is_damage(error: Exception) -> bool:
    """A read behind the end of a file that was cut short is an invalid argument to LevelDB."""
    return isinstance(error, plyvel.CorruptionError) or (
        isinstance(error, plyvel.Error) and os.strerror(errno.EINVAL) in sentence(error)
    )


def probe(path: Path) -> None:
    """Writes and removes what opening the database anew would need. Raises OSError."""
    size = ROOM + sum(log.stat().st_size for log in path.glob("*.log"))
    file = path / "probe"
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        while size > 0:
            size -= os.write(descriptor, bytes(min(size, 65536)))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
        file.unlink()


def sentence(error: Exception) -> str:
    """plyvel's errors hold bytes."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    first = error.args[0] if error.args else ""
    return first.decode(errors="replace") if isinstance(first, bytes) else str(first)
