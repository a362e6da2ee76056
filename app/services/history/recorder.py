"""Records the samples of each device: one row per poll, with absent values while it does not answer."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import repeat
from math import inf, nan
from typing import Any, Protocol

from app.clock import Clock
from app.events import DevicePolled
from app.miners.totals import DeviceOutput
from app.models import Chip, Derived, Status
from app.services.devices.fleet import Tracked
from app.services.devices.telemetry_reader import Telemetry
from app.services.history.buffers import SeriesBuffer
from app.services.history.columns import (
    COUNTERS,
    GAUGES,
    LASTS,
    MAX_CHIPS,
    STATUS_CODES,
    SUMMED_GAUGES,
    Layout,
    device_layout,
)
from app.services.history.frames import Column
from app.services.history.shares import NO_INCREASE, ShareIncrease, ShareTotals, compute_increase, read_totals
from app.services.history.timekeeper import Timekeeper

_EVERY_MINUTE = (*GAUGES, *LASTS, *COUNTERS)
_BETWEEN = (*GAUGES, *(None for _ in LASTS), *COUNTERS)
_CODES = {status: float(code) for code, status in enumerate(STATUS_CODES)}
# Polls of an offline device are up to 72 s apart. A longer pause was a suspended machine, not a status.
MAX_ELAPSED_SECONDS = 150.0
MAX_ELAPSED_POLLS = 2.5


class DerivedUpdater(Protocol):
    """Receives each successful poll's values and increases, and returns the figures derived from them."""

    def __call__(self, tracked: Tracked, values: Mapping[str, float], increase: ShareIncrease) -> Derived: ...


class DeviceSeries:
    """The recording state of one device. `sums`, `output`, `expected`: its last values for the sums over the fleet.
    `pending`: increases that these sums do not include yet; `unrecorded`: those of polls without a plausible time."""

    __slots__ = (
        "buffer",
        "chip_errors",
        "expected",
        "minute",
        "output",
        "pending",
        "polled_at",
        "sums",
        "totals",
        "unrecorded",
    )

    def __init__(self, layout: Layout) -> None:
        self.buffer = SeriesBuffer(layout)
        self.totals: ShareTotals | None = None
        self.polled_at: float | None = None
        self.minute: float | None = None
        self.sums: tuple[float, ...] = (nan,) * len(SUMMED_GAUGES)
        self.output = DeviceOutput(0.0, 0.0, paired=False)
        self.pending = NO_INCREASE
        self.unrecorded = NO_INCREASE
        self.expected = nan
        self.chip_errors: list[float] = []


class DeviceRecorder:
    """Owns the recording state of all devices."""

    def __init__(
        self,
        timekeeper: Timekeeper,
        read_telemetry: Callable[[Tracked], Telemetry],
        restore_totals: Callable[[str, float], ShareTotals | None],
        update_derived: DerivedUpdater,
        clock: Clock,
        poll_interval: float,
    ) -> None:
        """`restore_totals`: returns the last recorded share counters of a MAC, for its first poll after a start."""
        self._timekeeper = timekeeper
        self._read_telemetry = read_telemetry
        self._restore_totals = restore_totals
        self._update_derived = update_derived
        self._clock = clock
        self._max_elapsed = max(MAX_ELAPSED_SECONDS, MAX_ELAPSED_POLLS * poll_interval)
        self._series: dict[str, DeviceSeries] = {}

    def on_device_polled(self, event: DevicePolled) -> None:
        """Record one poll. Costs about 15 µs beside the reading of the telemetry."""
        tracked, monotonic = event.tracked, self._clock.monotonic()
        series = self._series.get(tracked.mac) or self._add_series(tracked)
        elapsed = 0.0 if series.polled_at is None else monotonic - series.polled_at
        series.polled_at = monotonic
        status = _CODES[tracked.observation.status]
        head = [status, elapsed if elapsed <= self._max_elapsed else 0.0]
        is_answer = tracked.reading is not event.before.reading and tracked.observation.status is Status.ONLINE
        now = self._timekeeper.current_time()
        row = head + (self._answer_values(tracked, series, monotonic, now) if is_answer else [])
        if now is not None:
            series.buffer.append_row(int(now), pack_row(row, len(series.buffer.layout.names)))

    def find_buffer(self, mac: str) -> SeriesBuffer | None:
        series = self._series.get(mac)
        return series.buffer if series else None

    def iterate_buffers(self) -> Iterator[tuple[str, SeriesBuffer]]:
        for mac, series in list(self._series.items()):
            yield mac, series.buffer

    def find_series(self, mac: str) -> DeviceSeries | None:
        return self._series.get(mac)

    def delete_series(self, mac: str) -> None:
        self._series.pop(mac, None)

    def drop_unregistered(self, is_registered: Callable[[str], bool]) -> list[str]:
        """Drop the state of deleted devices once their last samples are written. Return their MACs."""
        gone = [mac for mac, series in self._series.items() if not series.buffer.times and not is_registered(mac)]
        for mac in gone:
            del self._series[mac]
        return gone

    def _add_series(self, tracked: Tracked) -> DeviceSeries:
        series = self._series[tracked.mac] = DeviceSeries(device_layout(chips=0))
        series.totals = self._restore_totals(tracked.mac, self._clock.monotonic())
        return series

    def _answer_values(
        self, tracked: Tracked, series: DeviceSeries, monotonic: float, now: float | None
    ) -> list[float]:
        """Return the row after status and time."""
        values, series.output = self._read_telemetry(tracked)
        if values.get("hashrate_ghs") and not series.output.hashrate:  # implausible, which the fleet counts
            values = {key: value for key, value in values.items() if key != "hashrate_ghs"}
        totals = read_totals(values, monotonic)
        increase = compute_increase(series.totals, totals)
        if totals.accepted is not None:
            series.totals = totals
        series.pending = series.pending + increase
        derived = self._update_derived(tracked, values, increase)
        series.sums = tuple(values.get(key, nan) for key in SUMMED_GAUGES)
        minute = None if now is None else now // 60
        is_between, series.minute = minute == series.minute, minute
        get: Any = values.get  # None is no key, so it gives NaN
        row = [get(key, nan) for key in (_BETWEEN if is_between else _EVERY_MINUTE)]
        series.expected = nan if derived.expected_hashrate_ghs is None else derived.expected_hashrate_ghs
        if now is None:
            series.unrecorded = series.unrecorded + increase
            return []
        increase, series.unrecorded = increase + series.unrecorded, NO_INCREASE
        row += [_find_rest(values.get(key)) for key in COUNTERS]
        row += [increase.accepted, increase.rejected, increase.work, increase.seconds, series.expected]
        return row if is_between or not derived.chips else row + _record_chips(series, derived.chips)


def _record_chips(series: DeviceSeries, chips: Sequence[Chip]) -> list[float]:
    """Return the values of the chips in the order of the layout, which is widened if there are more than before."""
    chips = chips[:MAX_CHIPS]
    layout = device_layout(len(chips))
    if len(layout.names) > len(series.buffer.layout.names):
        series.buffer.widen_rows(layout)
    counts = [nan if chip.errors is None else chip.errors for chip in chips]
    known = [*series.chip_errors, *repeat(nan, len(counts))]
    series.chip_errors = counts
    row = []
    for chip, before, count in zip(chips, known, counts, strict=False):
        row += [
            nan if chip.hashrate_ghs is None else chip.hashrate_ghs,
            nan if chip.temperature_celsius is None else chip.temperature_celsius,
            count if count < before else count - before,  # below the last count after a reboot
        ]
    return row


def _find_rest(total: float | None) -> float:
    """Return what float32 cannot hold of a total, so that both together are exact."""
    return nan if total is None else total - array("f", [total])[0]


def pack_row(row: Sequence[float], width: int) -> Column:
    """Return the row as float32, filled up with absent values. A value that is too large for that is absent."""
    packed = array("f", row)
    if inf in packed or -inf in packed:
        packed = array("f", [nan if value in (inf, -inf) else value for value in packed])
    packed.extend(repeat(nan, width - len(packed)))
    return packed
