"""Stores the blocks of the history in `pluto_history`, and the state documents beside them.

The key of a block begins with its time, not with its series: new keys are then always behind all others, so LevelDB
moves its tables without rewriting them, and what is pruned lies together. `pluto_history` is written without fsync: a
power cut may lose the last seconds before the kernel wrote them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from app.errors import StoreError, StoreFull
from app.store.database import LAST_CHARACTER, Database

STATE_PREFIX = "state:"
SERIES_PREFIX = "series:"
HOUR, DAY = 3600, 86400
# Free space of the disk that the history leaves to devices and presets.
MIN_FREE_BYTES = 64 * 1024 * 1024


class Tier(StrEnum):
    """The resolutions that are stored, finest first. The value is the tier's letter in keys."""

    RAW = "a"
    MINUTE = "b"
    QUARTER = "c"


class BlockKey(NamedTuple):
    """`slot`: start of the aligned span that the block lies in. `start`: its first sample. Unix seconds."""

    slot: int
    tier: Tier
    series: str
    start: int


# Seconds of the aligned span that one block covers at most. A raw slot has several blocks.
SLOT_SECONDS = {Tier.RAW: HOUR, Tier.MINUTE: HOUR, Tier.QUARTER: DAY}


class HistoryRepository:
    """Reads and writes blocks and state documents."""

    def __init__(self, database: Database, min_free_bytes: int) -> None:
        """`min_free_bytes`: below this free space of the disk nothing is written, so that the rest is left to
        `pluto_core`."""
        self._database = database
        self._min_free_bytes = min_free_bytes

    @property
    def is_open(self) -> bool:
        return self._database.is_open

    def retry_writes(self) -> bool:
        """Return whether the store can be written; after a failed write, try to reopen it."""
        return self._database.retry_writes()

    def write_blocks(self, blocks: Mapping[BlockKey, bytes], state: Mapping[str, Any] | None = None) -> None:
        """Write blocks and state documents in one batch. Raises StoreError; StoreFull if the disk is so full that the
        history must not use the rest."""
        if not self._has_space():
            raise StoreFull(str(self._database.path))
        puts: dict[str, Any] = {_format_key(key): block for key, block in blocks.items()}
        puts |= {STATE_PREFIX + name: value for name, value in (state or {}).items()}
        self._database.write_batch(puts, sync=False)

    def read_slot(self, tier: Tier, slot: int, series: str) -> list[bytes]:
        """Return the blocks of one series in a slot, oldest first."""
        prefix = f"{SERIES_PREFIX}{slot:010d}:{tier}:{series}:"
        return [block for _, block in self._database.read_rows(prefix + "0", prefix + ":")]

    def list_series(self, tier: Tier, slot: int) -> list[str]:
        """Return the series that have blocks in a slot."""
        keys = self._database.list_keys(f"{SERIES_PREFIX}{slot:010d}:{tier}:")
        return list(dict.fromkeys(_parse_key(key).series for key in keys))

    def delete_slot(self, tier: Tier, slot: int) -> None:
        """Delete all blocks of a slot. Raises StoreError."""
        self._database.write_batch({}, delete_prefixes=[f"{SERIES_PREFIX}{slot:010d}:{tier}:"], sync=False)

    def delete_series(self, series: str, slots: Iterable[tuple[Tier, int]]) -> None:
        """Delete one series from slots. Raises StoreError."""
        prefixes = [f"{SERIES_PREFIX}{slot:010d}:{tier}:{series}:" for tier, slot in slots]
        self._database.write_batch({}, delete_prefixes=prefixes, sync=False)

    def find_first_slot(self) -> int | None:
        """Return the oldest slot that has a block."""
        rows = self._database.read_rows(SERIES_PREFIX, SERIES_PREFIX + LAST_CHARACTER, limit=1)
        return _parse_key(rows[0][0]).slot if rows else None

    def read_state(self, name: str) -> Any:
        """Return a state document, None if there is none or the store cannot be read."""
        try:
            return self._database.read_value(STATE_PREFIX + name)
        except StoreError:
            return None

    def _has_space(self) -> bool:
        try:
            return shutil.disk_usage(self._database.path.parent).free >= self._min_free_bytes
        except OSError:
            return False

    def count_disk_bytes(self) -> int:
        """Return the size of the database's files."""
        total = 0
        for file in self._database.path.glob("*"):
            try:
                total += file.stat().st_size
            except OSError:  # LevelDB removes files at any time
                continue
        return total


def _format_key(key: BlockKey) -> str:
    return f"{SERIES_PREFIX}{key.slot:010d}:{key.tier}:{key.series}:{key.start:010d}"


def _parse_key(text: str) -> BlockKey:
    slot, tier, rest = text.removeprefix(SERIES_PREFIX).split(":", 2)
    series, start = rest.rsplit(":", 1)
    return BlockKey(int(slot), Tier(tier), series, int(start))
