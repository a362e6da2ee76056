"""Rolls samples up to the coarser tiers, and deletes what is older than its tier is kept, in small steps.

Each completed hour of raw samples becomes one block of minutes per series; each completed day of minutes one block of
quarters of an hour. The lists of hours and days that are still to do are stored, so a crash repeats a part and loses
none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from app.errors import StoreError
from app.services.history.blocks import BlockCodec
from app.services.history.frames import Frame, append_frame, expand_status, summarise_frame
from app.services.history.raw_samples import RawSamples, iterate_slots
from app.services.history.tiers import MINUTE, QUARTER, Tiers
from app.services.history.timekeeper import Timekeeper
from app.store.history import DAY, HOUR, SLOT_SECONDS, BlockKey, HistoryRepository, Tier
from app.throttle import throttled

KEPT_LEVEL = 9
STATE = "rollup"


class Rollup:
    """Owns which hours and days are rolled up, and how far the tiers are pruned. `pruned`: the start of what is left of
    a tier, once some of it was deleted."""

    def __init__(
        self,
        repository: HistoryRepository,
        codec: BlockCodec,
        raw: RawSamples,
        tiers: Tiers,
        timekeeper: Timekeeper,
    ) -> None:
        self._repository = repository
        self._codec = codec
        self._raw = raw
        self._tiers = tiers
        self._timekeeper = timekeeper
        self._open_days: set[int] = set()
        self._raw_hours: set[int] = set()
        self.pruned: dict[Tier, int] = {}
        self._pruned_minute: float | None = None

    def load_state(self, now: float) -> None:
        """Load what is still to do. If that was lost, the hours that may have raw samples are rolled up again."""
        state = self._repository.read_state(STATE)
        if not isinstance(state, dict):
            first = self.find_oldest()
            if first is not None:
                earliest = max(first, now - self._tiers.retention[Tier.RAW] - DAY)
                self._raw.open_hours.update(iterate_slots(earliest, now, HOUR))
            return
        self._open_days = set(state.get("open_days", ()))
        self._raw_hours = set(state.get("raw_hours", ()))
        self.pruned = {Tier(tier): int(slot) for tier, slot in state.get("pruned", {}).items()}

    def run_steps(self, now: float) -> Iterator[None]:
        """Do what is due, one series or one slot per step. An hour is complete when none of its samples is
        only in memory. Raises StoreError."""
        for hour in sorted(self._raw.open_hours):
            if hour != now // HOUR * HOUR and self._raw.is_hour_flushed(hour):
                yield from self._roll_hour(hour)
        for day in sorted(self._open_days):
            if day != now // DAY * DAY and not any(day <= hour < day + DAY for hour in self._raw.open_hours):
                yield from self._roll_day(day)
        if now // MINUTE == self._pruned_minute:
            return
        self._pruned_minute = now // MINUTE
        oldest_now = self._timekeeper.trusted_time(now)
        yield from self._prune_raw(oldest_now)
        for tier in (Tier.MINUTE, Tier.QUARTER):
            yield from self._prune_tier(tier, oldest_now)

    def _roll_hour(self, hour: int) -> Iterator[None]:
        for series in self._repository.list_series(Tier.RAW, hour):
            minutes = self._summarise_hour(series, hour, None, strict=True)
            if minutes.times:
                self._write(BlockKey(hour, Tier.MINUTE, series, hour), minutes)
            yield
        self._raw.open_hours.discard(hour)
        self._raw_hours.add(hour)
        self._open_days.add(hour // DAY * DAY)
        self._save_state()

    def _roll_day(self, day: int) -> Iterator[None]:
        hours = range(day, day + DAY, HOUR)
        for series in dict.fromkeys(name for hour in hours for name in self._repository.list_series(Tier.MINUTE, hour)):
            quarters = summarise_frame(self.read_minutes(series, day, day + DAY, None, strict=True), QUARTER)
            if quarters.times and self._tiers.retention[Tier.QUARTER]:
                self._write(BlockKey(day, Tier.QUARTER, series, day), quarters)
            yield
        self._open_days.discard(day)
        self._save_state()

    def _write(self, key: BlockKey, frame: Frame) -> None:
        self._repository.write_blocks({key: self._codec.encode_block(frame, KEPT_LEVEL)})

    def _save_state(self) -> None:
        state = {
            "open_days": sorted(self._open_days),
            "raw_hours": sorted(self._raw_hours),
            "pruned": {tier.value: slot for tier, slot in self.pruned.items()},
        }
        self._repository.write_blocks({}, {STATE: state, "open_hours": sorted(self._raw.open_hours)})

    def _prune_raw(self, now: float) -> Iterator[None]:
        oldest = now - self._tiers.retention[Tier.RAW]
        for hour in sorted(self._raw_hours):
            if hour + HOUR <= oldest:
                self._repository.delete_slot(Tier.RAW, hour)
                self._raw_hours.discard(hour)
                self.pruned[Tier.RAW] = hour + HOUR
                self._save_state()
                yield

    def _prune_tier(self, tier: Tier, now: float) -> Iterator[None]:
        """Delete the slots that are too old, from the oldest on. Minutes stay until their day is rolled up."""
        seconds = SLOT_SECONDS[tier]
        stop = now - self._tiers.retention[tier] - seconds
        if tier is Tier.MINUTE:
            stop = min([stop, *(day - 1 for day in self._open_days)])
        first = self.pruned.get(tier)
        if first is None:
            found = self._repository.find_first_slot()
            first = int((now if found is None else min(found, now)) // seconds * seconds)
        for slot in range(first, int(stop) + 1, seconds):
            self._repository.delete_slot(tier, slot)
            self.pruned[tier] = slot + seconds
            yield
        if self.pruned.get(tier, first) != first:
            self._save_state()

    # Reading, with what is not rolled up yet.

    def read_samples(self, tier: Tier, series: str, start: float, stop: float, wanted: Collection[str] | None) -> Frame:
        """Return the samples of [start, stop) at the tier's resolution. Raw ones have status and elapsed time."""
        if tier is Tier.RAW:
            return self._read_raw(series, start, stop, wanted)
        if tier is Tier.MINUTE:
            return self.read_minutes(series, start, stop, wanted)
        frame = Frame()
        for day in throttled(iterate_slots(start, stop, DAY)):
            if self._is_day_open(day):
                quarters = summarise_frame(self.read_minutes(series, day, day + DAY, wanted), QUARTER)
            else:
                quarters = self._raw.read_slot(Tier.QUARTER, day, series, wanted)
            append_frame(frame, quarters)
        return frame

    def read_minutes(
        self, series: str, start: float, stop: float, wanted: Collection[str] | None, *, strict: bool = False
    ) -> Frame:
        frame = Frame()
        for hour in throttled(iterate_slots(start, stop, HOUR)):
            if self._is_hour_open(series, hour):
                minutes = self._summarise_hour(series, hour, wanted, strict=strict)
            else:
                minutes = self._raw.read_slot(Tier.MINUTE, hour, series, wanted, strict=strict)
            append_frame(frame, minutes)
        return frame

    def _summarise_hour(self, series: str, hour: int, wanted: Collection[str] | None, *, strict: bool) -> Frame:
        """Return the minutes of an hour of raw samples."""
        return summarise_frame(expand_status(self._raw.read_hour(series, hour, wanted, strict=strict)), MINUTE)

    def _read_raw(self, series: str, start: float, stop: float, wanted: Collection[str] | None) -> Frame:
        frame = Frame()
        for hour in iterate_slots(start, stop, HOUR):
            append_frame(frame, self._raw.read_hour(series, hour, wanted))
        return frame

    def find_oldest(self) -> float | None:
        """Return the start of the oldest stored slot."""
        try:
            return self._repository.find_first_slot()
        except StoreError:
            return None

    def read_hour(self, series: str, hour: int, wanted: Collection[str]) -> Frame:
        """Return one hour at the finest resolution that it is stored in."""
        if hour in self._raw_hours or self._is_hour_open(series, hour):
            raw = self._raw.read_hour(series, hour, wanted)
            if raw.times:
                return raw
        return self._raw.read_slot(Tier.MINUTE, hour, series, wanted)

    def _is_hour_open(self, series: str, hour: int) -> bool:
        return hour in self._raw.open_hours or self._raw.is_buffered(series, hour)

    def _is_day_open(self, day: int) -> bool:
        now = self._timekeeper.newest
        return (
            day in self._open_days
            or any(day <= hour < day + DAY for hour in self._raw.open_hours)
            or (now is not None and day <= now < day + DAY)
        )

    def delete_series(self, series: str, now: float) -> None:
        """Delete everything of one series. Raises StoreError."""
        self._raw.delete_series(series)
        slots = [(Tier.RAW, hour) for hour in self._raw_hours | self._raw.open_hours]
        first = self._repository.find_first_slot()
        for tier in (Tier.MINUTE, Tier.QUARTER):
            oldest = self.pruned.get(tier, now if first is None else first)
            slots += [(tier, slot) for slot in iterate_slots(oldest, now, SLOT_SECONDS[tier])]
        self._repository.delete_series(series, slots)
