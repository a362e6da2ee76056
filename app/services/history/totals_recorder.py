"""Records the sums over the fleet and over each tag, once per poll interval."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import isnan, nan

from app.services.devices.fleet import Fleet, Tracked
from app.services.history.buffers import SeriesBuffer
from app.services.history.columns import SUMMED_GAUGES, TOTALS_LAYOUT
from app.services.history.recorder import DeviceSeries, pack_row
from app.services.history.shares import NO_INCREASE, ShareIncrease
from app.services.history.timekeeper import Timekeeper
from app.throttle import throttled

FLEET = "fleet"
TAG_PREFIX = "tag:"
# A tag's series takes memory and disk as a device's does.
MAX_TAGS = 200
_HASHRATE_AT = SUMMED_GAUGES.index("hashrate_ghs")


@dataclass(slots=True)
class Totals:
    """Sums over some devices, each with the number of devices in it."""

    sums: list[float] = field(default_factory=lambda: [0.0] * len(SUMMED_GAUGES))
    counts: list[float] = field(default_factory=lambda: [0.0] * len(SUMMED_GAUGES))
    paired_hashrate: float = 0.0
    paired_power: float = 0.0
    compared_hashrate: float = 0.0
    compared_expected: float = 0.0
    monitored: int = 0
    online: int = 0
    shares: ShareIncrease = NO_INCREASE

    def add_device(self, tracked: Tracked, series: DeviceSeries | None, shares: ShareIncrease) -> None:
        self.monitored += 1
        self.shares = self.shares + shares
        if not tracked.is_up:
            return
        self.online += 1
        if series is None:
            return
        for at, value in enumerate(series.sums):
            if not isnan(value):
                self.sums[at] += value
                self.counts[at] += 1
        if series.output.paired:
            self.paired_hashrate += series.output.hashrate
            self.paired_power += series.output.power
        hashrate = series.sums[_HASHRATE_AT]
        if not isnan(hashrate) and not isnan(series.expected):
            self.compared_hashrate += hashrate
            self.compared_expected += series.expected

    def to_row(self) -> list[float]:
        """Return the columns of TOTALS_LAYOUT. A sum of no devices is absent."""
        sums = [total if count else nan for total, count in zip(self.sums, self.counts, strict=True)]
        paired = [self.paired_hashrate, self.paired_power, self.compared_hashrate, self.compared_expected]
        shares = [self.shares.accepted, self.shares.rejected, self.shares.work]
        return [*sums, *self.counts, *paired, self.monitored, self.online, *shares]


class TotalsRecorder:
    """Owns the buffers of the sums. A tag that no device has any more gets no further samples."""

    def __init__(self, fleet: Fleet, timekeeper: Timekeeper, find_series: Callable[[str], DeviceSeries | None]) -> None:
        self._fleet = fleet
        self._timekeeper = timekeeper
        self._find_series = find_series
        self._buffers: dict[str, SeriesBuffer] = {}

    def record_totals(self) -> None:
        now = self._timekeeper.current_time()
        if now is None:
            return
        totals = {FLEET: Totals()}
        for tracked in throttled(self._fleet.monitored_devices()):
            series = self._find_series(tracked.mac)
            shares = NO_INCREASE
            if series is not None:
                shares, series.pending = series.pending, NO_INCREASE
            totals[FLEET].add_device(tracked, series, shares)
            for tag in set(tracked.device.tags):
                name = TAG_PREFIX + tag
                if name in totals or len(totals) <= MAX_TAGS:
                    totals.setdefault(name, Totals()).add_device(tracked, series, shares)
        if not totals[FLEET].monitored:
            return
        for name, total in totals.items():
            buffer = self._buffers.setdefault(name, SeriesBuffer(TOTALS_LAYOUT))
            buffer.append_row(int(now), pack_row(total.to_row(), len(TOTALS_LAYOUT.names)))

    def drop_unused(self) -> None:
        """Drop the buffers of tags without new samples."""
        self._buffers = {name: buffer for name, buffer in self._buffers.items() if buffer.times}

    def find_buffer(self, name: str) -> SeriesBuffer | None:
        return self._buffers.get(name)

    def iterate_buffers(self) -> Iterator[tuple[str, SeriesBuffer]]:
        yield from list(self._buffers.items())
