"""The history: records, rolls up and answers queries."""

from __future__ import annotations

import logging
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from math import nan

import gevent
from gevent.event import Event

from app.clock import Clock
from app.errors import Invalid, NotFound, StoreError
from app.events import DeviceDeleted, DevicePolled
from app.services.devices.fleet import Fleet, Tracked
from app.services.devices.telemetry_reader import Telemetry
from app.services.history.blocks import BlockCodec
from app.services.history.buffers import SeriesBuffer
from app.services.history.columns import COUNTERS, LASTS, SHARE_SECONDS, SHARE_WORK, TOTAL_SUFFIX
from app.services.history.derived import DerivedFigures
from app.services.history.frames import Column, absent_column, cut_frame, expand_status, summarise_frame
from app.services.history.metrics import DEVICE_METRICS, TOTALS_METRICS, Answered, Metric, Statistics, list_needs
from app.services.history.raw_samples import RawSamples
from app.services.history.recorder import DeviceRecorder
from app.services.history.rollup import Rollup
from app.services.history.shares import ACCEPTED, DIFFICULTY, REJECTED, UPTIME, ShareTotals
from app.services.history.tiers import MINUTE, NAMES, Tiers, make_grid
from app.services.history.timekeeper import Timekeeper
from app.services.history.totals_recorder import FLEET, TAG_PREFIX, TotalsRecorder
from app.store.history import DAY, HOUR, HistoryRepository, Tier
from app.supervision import run_supervised
from app.throttle import throttled

log = logging.getLogger(__name__)

FLUSH_SECONDS = 240.0
TICK_SECONDS = 1.0
# One hour of every series is rolled up within this time.
ROLLUP_SECONDS = 600.0
# A longer pause of the service is a gap in the shares, too.
RESTORE_SECONDS = 24 * HOUR
MAX_POINTS = 2000
# Samples stay for up to a day longer than their tier's retention, until they are rolled up.
KEPT_LONGER_SECONDS = 25 * HOUR
# In the order of the arguments of DerivedFigures.restore_device.
_SHARE_COLUMNS = (ACCEPTED, SHARE_WORK, REJECTED, SHARE_SECONDS, "hashrate_ghs")
_TOTALS = (ACCEPTED + TOTAL_SUFFIX, REJECTED + TOTAL_SUFFIX, DIFFICULTY, UPTIME)


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
class HistoryState:
    """The condition of the history. `problem`: a sentence. `oldest`: Unix seconds. `expected_bytes`: the size after a
    year with the present devices and settings."""

    recording: bool
    problem: str | None
    disk_bytes: int
    oldest: float | None
    expected_bytes: int
    dropped_blocks: int
    damaged_blocks: int


@dataclass(frozen=True, slots=True)
class Samples:
    """Stored samples of one series. `times`: Unix seconds, ascending. `values`: NaN where absent. `lookbacks`:
    seconds for which a value is valid, by column. `is_raw`: each sample is one poll, so that an absent value may be a
    missed one."""

    times: array[int]
    values: dict[str, Column]
    lookbacks: dict[str, float]
    is_raw: bool


class HistoryService:
    """Owns the parts of the history, and its loops."""

    def __init__(
        self,
        repository: HistoryRepository,
        fleet: Fleet,
        read_telemetry: Callable[[Tracked], Telemetry],
        derived: DerivedFigures,
        tiers: Tiers,
        clock: Clock,
        poll_interval: float,
        loop_crashed: Callable[[], None],
        *,
        delete_with_device: bool,
    ) -> None:
        self._repository = repository
        self._fleet = fleet
        self._tiers = tiers
        self._clock = clock
        self._poll_interval = poll_interval
        self._loop_crashed = loop_crashed
        self._delete_with_device = delete_with_device
        self._derived = derived
        self.timekeeper = Timekeeper(clock)
        self._devices = DeviceRecorder(
            self.timekeeper, read_telemetry, self._restore_device, derived.update_device, clock
        )
        self._totals = TotalsRecorder(fleet, self.timekeeper, self._devices.find_series)
        codec = BlockCodec()
        self._raw = RawSamples(repository, codec, self.timekeeper, self._iterate_buffers, self._find_buffer)
        self._rollup = Rollup(repository, codec, self._raw, tiers, self.timekeeper)
        self._newest_at_start: float | None = None
        self._stop = Event()
        self._greenlets: list[gevent.Greenlet] = []

    @property
    def is_recording(self) -> bool:
        return self._tiers.is_enabled and self._repository.is_open

    def start(self) -> None:
        if not self.is_recording:
            return
        self.timekeeper.load_spans(self._repository.read_state("spans"))
        self._newest_at_start = self.timekeeper.newest
        self._raw.load_open_hours(self._repository.read_state("open_hours"))
        self._rollup.load_state()
        self._greenlets = [
            gevent.spawn(run_supervised, loop, self._clock, self._stop, self._loop_crashed, loop=name)
            for name, loop in (("history_totals", self._run_totals), ("history_store", self._run_store))
        ]

    def stop(self) -> None:
        """Return when the last samples are written."""
        self._stop.set()
        gevent.joinall(self._greenlets)
        if self._greenlets:
            self._greenlets = []
            self._raw.flush_samples()

    def on_device_polled(self, event: DevicePolled) -> None:
        if self.is_recording:
            self._devices.on_device_polled(event)

    def on_device_deleted(self, event: DeviceDeleted) -> None:
        """The history belongs to the MAC, so it stays for a device that is registered again, unless the setting says
        otherwise."""
        if self._delete_with_device:
            self._devices.delete_series(event.mac)
            self._rollup.delete_series(event.mac, self._clock.now().timestamp())

    def _run_totals(self) -> None:
        while not self._clock.wait(self._stop, self._poll_interval):
            self._totals.record_totals()

    def _run_store(self) -> None:
        """Flush every four minutes; in between, roll up and prune step by step."""
        flush_at = self._clock.monotonic() + FLUSH_SECONDS
        steps: Iterator[None] = iter(())
        while not self._clock.wait(self._stop, TICK_SECONDS):
            if self._clock.monotonic() >= flush_at:
                flush_at = self._clock.monotonic() + FLUSH_SECONDS
                self.flush_samples()
            try:
                done = list(islice(steps, 1 + int(len(self._fleet) / ROLLUP_SECONDS * TICK_SECONDS)))
            except StoreError as error:
                log.warning("the history cannot be rolled up now", extra={"reason": str(error)})
                done = []
            if not done:
                steps = self._rollup_steps()

    def flush_samples(self) -> None:
        """Write what is in memory. On an error it stays there for the next time."""
        self._totals.drop_unused()
        self._repository.retry_writes()
        self._raw.flush_samples()
        self._devices.drop_unregistered(self._fleet.is_registered)

    def complete_rollups(self) -> None:
        """Roll up and prune all that is due, at once. Raises StoreError."""
        for _ in self._rollup_steps():
            pass

    def _rollup_steps(self) -> Iterator[None]:
        now = self.timekeeper.current_time()
        if now is not None:
            yield from self._rollup.run_steps(now)

    def _iterate_buffers(self) -> Iterator[tuple[str, SeriesBuffer]]:
        yield from self._devices.iterate_buffers()
        yield from self._totals.iterate_buffers()

    def _find_buffer(self, series: str) -> SeriesBuffer | None:
        return self._devices.find_buffer(series) or self._totals.find_buffer(series)

    def _restore_device(self, mac: str, monotonic: float) -> ShareTotals | None:
        """Fill the device's sliding windows, and return its last recorded share counters."""
        tier = Tier.MINUTE if self._tiers.retention[Tier.MINUTE] else Tier.RAW
        now = self._clock.now().timestamp()
        frame = self._rollup.read_samples(tier, mac, now - DAY, now + 1, _SHARE_COLUMNS)
        if frame.times:
            columns = [frame.columns.get(name) or absent_column(name, len(frame)) for name in _SHARE_COLUMNS]
            self._derived.restore_device(mac, frame.times, *columns)
        return self._restore_totals(mac, monotonic)

    def _restore_totals(self, mac: str, monotonic: float) -> ShareTotals | None:
        """Return the last recorded share counters, so that shares accepted while the service was stopped count."""
        now, newest = self._clock.now().timestamp(), self._newest_at_start
        if newest is None or now - newest > RESTORE_SECONDS:
            return None
        hour = int(newest) // HOUR * HOUR
        for slot in (hour, hour - HOUR):
            frame = self._rollup.read_hour(mac, slot, _TOTALS)
            accepted = frame.columns.get(_TOTALS[0])
            for at in reversed(range(len(frame) if accepted else 0)):
                values = [frame.columns[name][at] if name in frame.columns else nan for name in _TOTALS]
                if values[0] == values[0]:  # noqa: PLR0124
                    present = [None if value != value else value for value in values]  # noqa: PLR0124
                    return ShareTotals(monotonic - max(0.0, now - frame.times[at]), *present)
        return None

    def describe_state(self) -> HistoryState:
        problem = None
        if not self._tiers.is_enabled:
            problem = "The history is disabled: HISTORY_RAW_HOURS, HISTORY_1M_DAYS and HISTORY_15M_DAYS are 0"
        elif not self._repository.is_open:
            problem = "The history could not be opened; the log has the reason. It is tried again at the next start"
        elif self.timekeeper.is_waiting:
            problem = "The time of day is behind recorded times, so nothing is recorded until it is right"
        elif not self._raw.is_flushed:
            problem = "The history cannot be written now; recent samples wait in memory"
        return HistoryState(
            problem is None,
            problem,
            self._repository.count_disk_bytes(),
            self._rollup.find_oldest(),
            int(self._tiers.estimate_bytes() * (len(self._fleet.monitored_devices()) + 1)),
            self._raw.dropped_blocks,
            self._raw.damaged_blocks,
        )

    # Queries.

    def query_device(self, mac: str, names: Sequence[str], asked: HistoryRange) -> HistoryAnswer:
        """Return metrics of a device. Raises DeviceNotFound and Invalid."""
        self._fleet.get_device(mac)
        return self._query(mac, DEVICE_METRICS, names, asked)

    def query_totals(self, tag: str | None, names: Sequence[str], asked: HistoryRange) -> HistoryAnswer:
        """Return sums over the fleet, or over the devices with a tag. Raises Invalid, and NotFound for a tag that no
        device has."""
        if tag is not None and not any(tag in tracked.device.tags for tracked in self._fleet.all_devices()):
            raise NotFound(f"No device has the tag {tag}")
        return self._query(FLEET if tag is None else TAG_PREFIX + tag, TOTALS_METRICS, names, asked)

    def _query(
        self, series: str, known: Mapping[str, Metric], names: Sequence[str], asked: HistoryRange
    ) -> HistoryAnswer:
        unknown = [name for name in names if name not in known]
        if unknown:
            raise Invalid(
                f"There is no metric {', '.join(unknown)}", {"metrics": [f"Use some of: {', '.join(sorted(known))}."]}
            )
        metrics = [known[name] for name in dict.fromkeys(names)]
        now = self._clock.now()
        start, stop = (_resolve_time(time, now).timestamp() for time in (asked.start, asked.stop))
        if start >= stop:
            raise Invalid("The range is empty", {"from": ["Must be before `to`, which is now unless it is stated."]})
        tier = self._tiers.choose_tier(start, now.timestamp(), (stop - start) / asked.points)
        grid = make_grid(start, stop, asked.points, self._tiers.resolutions[tier])
        first = max(grid.start, now.timestamp() - self._tiers.retention[tier] - KEPT_LONGER_SECONDS)
        frame = self._rollup.read_samples(tier, series, first, min(grid.stop, now.timestamp() + 1), list_needs(metrics))
        summary = summarise_frame(expand_status(cut_frame(frame, grid.start, grid.stop)), grid.step)
        answered = Answered(summary, grid)
        return HistoryAnswer(
            series,
            NAMES[tier],
            grid.step,
            grid.times,
            {metric.name: metric.compute(answered) for metric in throttled(metrics)},
            self._repository.read_state("simulated"),
        )

    def read_samples(self, series: str, names: Sequence[str], start: float, end: float, step: float) -> Samples:
        """Return stored samples of [start, end], and those before that are still valid at `start`, of the coarsest
        tier whose resolution is not above `step`; counters as their totals."""
        columns = {
            name + TOTAL_SUFFIX if name in COUNTERS and series_is_device(series) else name: name for name in names
        }
        now = self._clock.now().timestamp()
        tier = self._tiers.choose_tier(start, now, step)
        lookbacks = {
            name: self._tiers.get_lookback(tier, MINUTE if name in LASTS else 0.0) for name in columns.values()
        }
        first = start - max(lookbacks.values(), default=0.0)
        frame = self._rollup.read_samples(
            tier,
            series,
            max(first, now - self._tiers.retention[tier] - KEPT_LONGER_SECONDS),
            min(end, now) + 1,
            list(columns),
        )
        frame = cut_frame(frame, first, end + 1)
        values = {name: frame.columns[column] for column, name in columns.items() if column in frame.columns}
        return Samples(frame.times, values, lookbacks, tier is Tier.RAW)


def _resolve_time(time: datetime | timedelta, now: datetime) -> datetime:
    return now - time if isinstance(time, timedelta) else time


def series_is_device(series: str) -> bool:
    return series != FLEET and not series.startswith(TAG_PREFIX)
