"""How LevelDB is opened to be worked with."""

from __future__ import annotations

from pathlib import Path

import plyvel

# Of its own it takes 2 x 4 MiB for what is not yet in a table, and 8 MiB for what was read last. Every record lives in
# memory as an object anyway, and is read from here at the start only.
WRITE_BUFFER = 1024 * 1024
READ_CACHE = 512 * 1024
# The value of what is no row: `Database.compact` writes it where it needs something to be, and takes it away again.
NOTHING = b"null"


def open_leveldb(path: Path, *, create: bool = False) -> plyvel.DB:
    """Raises plyvel.Error; also for a directory without a database, unless it may `create` one."""
    return plyvel.DB(
        str(path),
        create_if_missing=create,
        paranoid_checks=True,
        write_buffer_size=WRITE_BUFFER,
        lru_cache_size=READ_CACHE,
    )
