"""Writes samples to the store, and reads them back with those that are not written yet."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain, islice
from operator import itemgetter

from app.errors import StoreError
from app.services.history.blocks import BlockCodec, BlockDamaged
from app.services.history.buffers import SeriesBuffer
from app.services.history.frames import Frame, append_frame, cut_frame
from app.services.history.timekeeper import Timekeeper
from app.store.history import HOUR, MANY_BLOCKS, BlockKey, HistoryRepository, Tier
from app.throttle import throttled, yield_if_due

log = logging.getLogger(__name__)

RAW_LEVEL = 3
BLOCKS_PER_BATCH = MANY_BLOCKS
# Blocks per series that wait for a store that cannot be written: 20 minutes.
MAX_WAITING = 5


class RawSamples:
    """Owns the raw blocks that wait to be written, and the list of hours whose raw samples are not rolled up."""

    def __init__(
        self,
        repository: HistoryRepository,
        codec: BlockCodec,
        timekeeper: Timekeeper,
        buffers: Callable[[], Iterable[tuple[str, SeriesBuffer]]],
        find_buffer: Callable[[str], SeriesBuffer | None],
    ) -> None:
        self._repository = repository
        self._codec = codec
        self._timekeeper = timekeeper
        self._buffers = buffers
        self._find_buffer = find_buffer
        self._waiting: dict[BlockKey, bytes] = {}
        self._failing = False
        self.open_hours: set[int] = set()
        self.dropped_blocks = 0
        self.damaged_blocks = 0

    @property
    def is_failing(self) -> bool:
        """Return True if the last flush could not be written."""
        return self._failing

    def load_open_hours(self, hours: object) -> None:
        if isinstance(hours, list):
            self.open_hours = {int(hour) for hour in hours}

    def flush_samples(self) -> None:
        """Encode what is buffered and write it, 100 blocks at a time. On an error the blocks are kept for the next
        flush, up to 20 minutes of them."""
        series = 0
        for name, buffer in throttled(sorted(self._buffers(), key=itemgetter(0))):  # in the order of the keys
            if self._find_buffer(name) is not buffer:  # deleted since the loop began
                continue
            series += 1
            for frame in buffer.take_frames():
                start = frame.times[0]
                key = BlockKey(start // HOUR * HOUR, Tier.RAW, name, start)
                self._waiting[key] = self._codec.encode_block(frame, RAW_LEVEL)
                self.open_hours.add(key.slot)
        try:
            self._write_waiting()
        except StoreError as error:
            self._log_failure(str(error))
            self._drop_oldest(max(series, 1) * MAX_WAITING)

    def _write_waiting(self) -> None:
        state = {"spans": self._timekeeper.spans, "open_hours": sorted(self.open_hours)}
        while self._waiting:
            batch = dict(islice(self._waiting.items(), BLOCKS_PER_BATCH))
            self._repository.write_blocks(batch, state)
            state = {}
            for key in batch:
                self._waiting.pop(key, None)
        if self._failing:
            self._failing = False
            log.info("the history is written again")

    def _log_failure(self, reason: str) -> None:
        if not self._failing:
            self._failing = True
            log.warning("the history cannot be written; recent samples wait in memory", extra={"reason": reason})

    def _drop_oldest(self, most: int) -> None:
        for key in list(islice(self._waiting, max(0, len(self._waiting) - most))):
            del self._waiting[key]
            self.dropped_blocks += 1

    def read_hour(self, series: str, hour: int, wanted: Collection[str] | None, *, strict: bool = False) -> Frame:
        """Return the raw samples of one hour: from the store, from the blocks that wait, and from the buffer. `strict`:
        raise StoreError if the store cannot be read now."""
        waiting = [block for key, block in self._waiting.items() if key.series == series and key.slot == hour]
        frame = self.read_blocks(chain(self._read_slot(Tier.RAW, hour, series, strict), waiting), wanted)
        buffer = self._find_buffer(series)
        if buffer is not None and buffer.times and buffer.times[-1] >= hour:
            _append_later(frame, cut_frame(_select(buffer.read_frame(), wanted), hour, hour + HOUR))
        return frame

    def is_hour_flushed(self, hour: int) -> bool:
        """Return True if no sample of this hour is only in memory."""
        return not any(key.slot == hour for key in self._waiting) and not any(
            buffer.has_hour(hour) for _, buffer in self._buffers()
        )

    def is_buffered(self, series: str, hour: int) -> bool:
        """Return True if samples of this hour are in the buffer only."""
        buffer = self._find_buffer(series)
        return buffer is not None and buffer.has_hour(hour)

    def read_slot(
        self, tier: Tier, slot: int, series: str, wanted: Collection[str] | None, *, strict: bool = False
    ) -> Frame:
        return self.read_blocks(self._read_slot(tier, slot, series, strict), wanted)

    def read_blocks(self, blocks: Iterable[bytes], wanted: Collection[str] | None) -> Frame:
        """Return the samples of blocks in ascending order. A damaged block is counted, and its samples are absent."""
        frame = Frame()
        for block in blocks:
            try:
                _append_later(frame, self._codec.decode_block(block, wanted))
            except BlockDamaged as error:
                self._count_damage(str(error))
            yield_if_due()
        return frame

    def _read_slot(self, tier: Tier, slot: int, series: str, strict: bool) -> list[bytes]:
        try:
            return self._repository.read_slot(tier, slot, series)
        except StoreError:  # not open, or not readable now: the state of the history says so
            if strict:
                raise
            return []

    def _count_damage(self, reason: str) -> None:
        """Count a damaged block. One warning is enough: each query may meet the same ones."""
        self.damaged_blocks += 1
        level = logging.WARNING if self.damaged_blocks == 1 else logging.DEBUG
        log.log(level, "a block of the history cannot be read; its samples are absent", extra={"reason": reason})

    def delete_series(self, series: str) -> None:
        for key in [key for key in self._waiting if key.series == series]:
            del self._waiting[key]


def _append_later(frame: Frame, more: Frame) -> None:
    """Append the samples that are later than those of `frame`: a block that has just been written still waits, too."""
    if frame.times and more.times and more.times[0] <= frame.times[-1]:
        more = cut_frame(more, frame.times[-1] + 1, float("inf"))
    if more.times:
        append_frame(frame, more)


def _select(frame: Frame, wanted: Collection[str] | None) -> Frame:
    if wanted is None:
        return frame
    kinds = {name: kind for name, kind in frame.kinds.items() if name in wanted}
    return Frame(frame.times, {name: frame.columns[name] for name in kinds}, kinds)


def iterate_slots(start: float, stop: float, seconds: int) -> Iterator[int]:
    """Yield the aligned spans that [start, stop) touches."""
    yield from range(int(start) // seconds * seconds, int(stop) + (stop > int(stop)), seconds)
