"""Opens LevelDB with this service's options."""

from __future__ import annotations

from pathlib import Path

import plyvel

# LevelDB's defaults are 2 x 4 MiB of write buffers and an 8 MiB read cache. Less is enough: records are read at startup
# only and then kept in memory as objects.
WRITE_BUFFER = 1024 * 1024
READ_CACHE = 512 * 1024
# The value of temporary keys, which `Database.compact_prefix` writes and deletes again. They do not count as rows.
PLACEHOLDER = b"null"


def open_leveldb(path: Path, *, create: bool = False) -> plyvel.DB:
    """Return the open database. Raises plyvel.Error, also if there is no database and `create` is false."""
    return plyvel.DB(
        str(path),
        create_if_missing=create,
        paranoid_checks=True,  # else a damaged block that LevelDB merges can end the process (std::length_error)
        write_buffer_size=WRITE_BUFFER,
        lru_cache_size=READ_CACHE,
    )
