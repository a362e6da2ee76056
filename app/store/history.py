"""Stores the blocks of the history in `pluto_history`, and the state documents beside them.

LevelDB rewrites tables whose ranges of keys overlap. So that it rewrites few:
- the key of a block begins with the time at which it is written, not with its series: new keys are behind all others,
  LevelDB moves their tables without rewriting them, and what is pruned lies together;
- with many series, state documents and deletions get tables of their own: in one with blocks, they would make its
  range span all blocks that follow, or those from the deleted ones on.

`pluto_history` is written without fsync: a power cut may lose the last seconds before the kernel wrote them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from app.errors import StoreError, StoreFull
from app.store.database import LAST_CHARACTER
from app.store.expendable_database import ExpendableDatabase
from app.throttle import throttled

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
# Raw keys begin with the start of such a span, about that of a flush; other keys with the end of their slot.
RAW_KEY_SECONDS = 240
# With fewer blocks per flush, LevelDB merges so seldom that tables of their own cost more than they save.
MANY_BLOCKS = 100


class HistoryRepository:
    """Reads and writes blocks and state documents."""

    def __init__(self, database: ExpendableDatabase, min_free_bytes: int) -> None:
        """`min_free_bytes`: below this free space of the disk nothing is written, so that the rest is left to
        `pluto_core`."""
        self._database = database
        self._min_free_bytes = min_free_bytes
        self._has_many_series = False  # of the last flush

    @property
    def is_open(self) -> bool:
        return self._database.is_open

    @property
    def is_damaged(self) -> bool:
        """Return True if a read met damage since the start."""
        return self._database.damage is not None

    def retry_writes(self) -> bool:
        """Return whether the store can be written; after a failed write, try to reopen it."""
        return self._database.retry_writes()

    def write_blocks(self, blocks: Mapping[BlockKey, bytes], state: Mapping[str, Any] | None = None) -> None:
        """Write blocks and state documents. A flush has both; its documents may be written first. Raises StoreError;
        StoreFull if the disk is so full that the history must not use the rest."""
        if not has_free_space(self._database.path, self._min_free_bytes):
            raise StoreFull(str(self._database.path))
        documents = {STATE_PREFIX + name: value for name, value in (state or {}).items()}
        if blocks and documents:
            self._has_many_series = len(blocks) >= MANY_BLOCKS
        if documents and self._has_many_series:
            self._write_alone(documents)
            documents = {}
        if puts := {_format_key(key): block for key, block in blocks.items()} | documents:
            self._database.write_batch(puts, sync=False)

    def _write_alone(self, puts: Mapping[str, Any], delete_prefixes: Iterable[str] = ()) -> None:
        """Write to a table that has nothing else: LevelDB writes its memory to a table before and after."""
        documents = STATE_PREFIX, STATE_PREFIX + LAST_CHARACTER  # merged at the same time; they are small
        self._database.merge_range(*documents)
        self._database.write_batch(puts, delete_prefixes=delete_prefixes, sync=False)
        self._database.merge_range(*documents)

    def read_slot(self, tier: Tier, slot: int, series: str) -> list[bytes]:
        """Return the blocks of one series in a slot, oldest first."""
        return [
            block
            for prefix in _list_prefixes(tier, slot)
            for key, block in self._database.read_rows(f"{prefix}{series}:0", f"{prefix}{series}::")
            if _parse_key(key).series == series  # not `tag:rack:1` for `tag:rack`
        ]

    def list_series(self, tier: Tier, slot: int) -> list[str]:
        """Return the series that have blocks in a slot."""
        keys = (key for prefix in throttled(_list_prefixes(tier, slot)) for key in self._database.list_keys(prefix))
        return list(dict.fromkeys(_parse_key(key).series for key in keys))

    def delete_slot(self, tier: Tier, slot: int) -> None:
        """Delete all blocks of a slot. Raises StoreError."""
        prefixes = _list_prefixes(tier, slot)
        if tier is Tier.RAW and self._has_many_series:
            self._write_alone({}, prefixes)
            self._database.merge_range(prefixes[0], prefixes[-1] + LAST_CHARACTER)
        else:  # LevelDB drops the blocks when it merges them with later ones
            self._database.write_batch({}, delete_prefixes=prefixes, sync=False)

    def delete_series(self, series: str, slots: Iterable[tuple[Tier, int]]) -> None:
        """Delete one series from slots. Raises StoreError."""
        prefixes = [f"{prefix}{series}:" for tier, slot in slots for prefix in _list_prefixes(tier, slot)]
        self._database.write_batch({}, delete_prefixes=prefixes, sync=False)

    def find_first_slot(self) -> int | None:
        """Return the oldest slot that has a block."""
        keys = self._first_keys(SERIES_PREFIX)
        if not keys:
            return None
        time = keys[0].split(":")[1]  # tiers with this time may have different slots
        found = [key for tier in Tier for key in self._first_keys(f"{SERIES_PREFIX}{time}:{tier}:")]
        return min(_parse_key(key).slot for key in found)

    def _first_keys(self, prefix: str) -> list[str]:
        """Return the first key with this prefix, if there is one."""
        return [key for key, _ in self._database.read_rows(prefix, prefix + LAST_CHARACTER, limit=1)]

    def read_state(self, name: str) -> Any:
        """Return a state document, None if there is none or the store cannot be read."""
        try:
            return self._database.read_value(STATE_PREFIX + name)
        except StoreError:
            return None

    def count_disk_bytes(self) -> int:
        """Return the size of the database's files."""
        total = 0
        for file in self._database.path.glob("*"):
            try:
                total += file.stat().st_size
            except OSError:  # LevelDB removes files at any time
                continue
        return total


def has_free_space(path: Path, min_free_bytes: int) -> bool:
    """Return False if the disk of a database has less free space than that."""
    try:
        return shutil.disk_usage(path.parent).free >= min_free_bytes
    except OSError:
        return False


def _list_prefixes(tier: Tier, slot: int) -> list[str]:
    """Return the prefixes of the keys of all blocks in a slot."""
    end = slot + SLOT_SECONDS[tier]
    times = range(slot, end, RAW_KEY_SECONDS) if tier is Tier.RAW else [end]
    return [f"{SERIES_PREFIX}{time:010d}:{tier}:" for time in times]


def _format_key(key: BlockKey) -> str:
    raw = key.tier is Tier.RAW
    time = key.start // RAW_KEY_SECONDS * RAW_KEY_SECONDS if raw else key.slot + SLOT_SECONDS[key.tier]
    return f"{SERIES_PREFIX}{time:010d}:{key.tier}:{key.series}:{key.start:010d}"


def _parse_key(text: str) -> BlockKey:
    time, letter, rest = text.removeprefix(SERIES_PREFIX).split(":", 2)
    series, start = rest.rsplit(":", 1)
    tier, seconds = Tier(letter), SLOT_SECONDS[Tier(letter)]
    slot = int(time) // seconds * seconds - (0 if tier is Tier.RAW else seconds)
    return BlockKey(slot, tier, series, int(start))
