"""Answers queries: metrics of a device, of the fleet or of a tag, on one time axis."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from app.clock import Clock
from app.errors import Invalid, NotFound
from app.services.devices.fleet import Fleet
from app.services.history.columns import COUNTERS, TOTAL_SUFFIX, is_recorded_each_minute
from app.services.history.frames import Column, cut_frame, expand_status, summarise_frame
from app.services.history.metrics import (
    DEVICE_METRICS,
    TOTALS_METRICS,
    Answered,
    Metric,
    Statistics,
    list_names,
    list_needs,
)
from app.services.history.rollup import Rollup
from app.services.history.tiers import MINUTE, NAMES, Tiers, make_grid
from app.services.history.totals_recorder import FLEET, TAG_PREFIX
from app.store.history import HOUR, HistoryRepository, Tier
from app.throttle import throttled

MAX_POINTS = 2000
LONGEST_AGO = timedelta(days=36500)
# Samples stay for up to a day longer than their tier's retention, until they are rolled up.
KEPT_LONGER_SECONDS = 25 * HOUR


@dataclass(frozen=True, slots=True)
class HistoryRange:
    """A range of time and the wanted resolution. `start` and `stop`: a time, or how long before now."""

    start: datetime | timedelta
    stop: datetime | timedelta
    points: int


@dataclass(frozen=True, slots=True)
class HistoryAnswer:
    """Metrics on one time axis. `times`: Unix seconds of the start of each span of `step` seconds. `simulated`: the
    part of the store that a demo filled, as ISO-8601 times."""

    series: str
    tier: str
    step: int
    times: Sequence[int]
    metrics: dict[str, Statistics]
    simulated: dict[str, str] | None


@dataclass(frozen=True, slots=True)
class Samples:
    """Stored samples of one series. `times`: Unix seconds, ascending. `values`: NaN where absent. `lookbacks`:
    seconds for which a value is valid, by column. `is_raw`: each sample is one poll, so that an absent value may be a
    missed one."""

    times: array[int]
    values: dict[str, Column]
    lookbacks: dict[str, float]
    is_raw: bool


class HistoryQueries:
    """Reads the store through the rollup, so that what is not written yet is in the answers."""

    def __init__(
        self,
        fleet: Fleet,
        repository: HistoryRepository,
        rollup: Rollup,
        tiers: Tiers,
        clock: Clock,
        poll_interval: float,
    ) -> None:
        self._fleet = fleet
        self._repository = repository
        self._rollup = rollup
        self._tiers = tiers
        self._clock = clock
        self._poll_interval = poll_interval

    @property
    def is_recording(self) -> bool:
        return self._tiers.is_enabled and self._repository.is_open

    def query_device(self, mac: str, names: Sequence[str], asked: HistoryRange) -> HistoryAnswer:
        """Return metrics of a device. Raises DeviceNotFound and Invalid."""
        self._fleet.get_device(mac)
        return self._query(mac, DEVICE_METRICS, names, asked)

    def query_devices(self, macs: Sequence[str], name: str, asked: HistoryRange) -> dict[str, HistoryAnswer]:
        """Return one metric of several devices on one time axis; unknown devices are left out. Raises Invalid."""
        _select_metrics(DEVICE_METRICS, [name])
        known = [mac for mac in macs if self._fleet.find_device(mac)]
        now = self._clock.now()
        fixed = HistoryRange(_resolve_time(asked.start, now), _resolve_time(asked.stop, now), asked.points)
        return {mac: self._query(mac, DEVICE_METRICS, [name], fixed) for mac in throttled(known)}

    def query_totals(self, tag: str | None, names: Sequence[str], asked: HistoryRange) -> HistoryAnswer:
        """Return sums over the fleet, or over the devices with a tag. Raises Invalid, and NotFound for a tag that no
        device has."""
        if tag is not None and not any(tag in tracked.device.tags for tracked in self._fleet.all_devices()):
            raise NotFound(f"No device has the tag {tag}")
        return self._query(FLEET if tag is None else TAG_PREFIX + tag, TOTALS_METRICS, names, asked)

    def _query(
        self, series: str, known: Mapping[str, Metric], names: Sequence[str], asked: HistoryRange
    ) -> HistoryAnswer:
        metrics = _select_metrics(known, names)
        now = self._clock.now()
        start, stop = (_resolve_time(time, now).timestamp() for time in (asked.start, asked.stop))
        if start >= stop:
            raise Invalid("The range is empty", {"from": ["Must be before `to`, which is now unless it is stated."]})
        tier = self._choose_tier(start, (stop - start) / asked.points)
        needs = list_needs(metrics)
        grid = make_grid(start, stop, asked.points, self._find_resolution(tier, needs))
        # Whole spans before the answer, for the metrics that describe the time before each point.
        lead = -max(metric.lead_seconds for metric in metrics) // grid.step * -grid.step
        first = max(grid.start - lead, now.timestamp() - self._tiers.retention[tier] - KEPT_LONGER_SECONDS)
        frame = self._rollup.read_samples(tier, series, first, min(grid.stop, now.timestamp() + 1), needs)
        frame = cut_frame(frame, grid.start - lead, grid.stop)
        answered = Answered(summarise_frame(expand_status(frame), grid.step, grid.start), grid)
        return HistoryAnswer(
            series,
            NAMES[tier],
            grid.step,
            grid.times,
            {metric.name: metric.compute(answered) for metric in throttled(metrics)},
            self._repository.read_state("simulated"),
        )

    def _choose_tier(self, start: float, step: float) -> Tier:
        return self._tiers.choose_tier(start, self._clock.now().timestamp(), step, self._rollup.pruned)

    def _find_resolution(self, tier: Tier, columns: Collection[str]) -> int:
        """Return the seconds between two samples that have all of these columns."""
        resolution = self._tiers.resolutions[tier]
        return ceil(self._find_interval(columns) / resolution) * resolution

    def _find_interval(self, columns: Collection[str]) -> float:
        """Return the seconds between two polls that record all of these columns."""
        return max(self._poll_interval, MINUTE if any(map(is_recorded_each_minute, columns)) else 0)

    def read_samples(self, series: str, names: Sequence[str], start: float, end: float, step: float) -> Samples:
        """Return stored samples of [start, end], and those before that are still valid at `start`, of the coarsest
        tier whose resolution is not above `step`; counters as their totals."""
        columns = {name + TOTAL_SUFFIX if name in COUNTERS and is_device(series) else name: name for name in names}
        now = self._clock.now().timestamp()
        tier = self._choose_tier(start, step)
        lookbacks = {name: self._tiers.get_lookback(tier, self._find_interval([name])) for name in columns.values()}
        first = start - max(lookbacks.values(), default=0.0)
        oldest = now - self._tiers.retention[tier] - KEPT_LONGER_SECONDS
        frame = self._rollup.read_samples(tier, series, max(first, oldest), min(end, now) + 1, list(columns))
        frame = cut_frame(frame, first, end + 1)
        values = {name: frame.columns[column] for column, name in columns.items() if column in frame.columns}
        return Samples(frame.times, values, lookbacks, tier is Tier.RAW)


def _select_metrics(known: Mapping[str, Metric], names: Sequence[str]) -> list[Metric]:
    unknown = [str(at) for at, name in enumerate(names, 1) if name not in known]
    if unknown:
        raise Invalid(
            f"There is no such metric: position {', '.join(unknown)} in the list",
            {"metrics": [f"Use some of: {', '.join(list_names(known))}."]},
        )
    return [known[name] for name in dict.fromkeys(names)]


def _resolve_time(time: datetime | timedelta, now: datetime) -> datetime:
    return now - min(time, LONGEST_AGO) if isinstance(time, timedelta) else time


def is_device(series: str) -> bool:
    """Return True if the series is that of a device, not of the fleet or of a tag."""
    return series != FLEET and not series.startswith(TAG_PREFIX)
