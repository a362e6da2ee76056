"""The history: its parts, its loops and its condition."""

from __future__ import annotations

import logging
from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from math import inf, isnan

import gevent
from gevent.event import Event

from app.clock import Clock
from app.errors import StoreError
from app.events import DeviceDeleted, DevicePolled
from app.services.devices.fleet import Fleet, Tracked
from app.services.devices.telemetry_reader import Telemetry
from app.services.history.blocks import BlockCodec
from app.services.history.buffers import SeriesBuffer
from app.services.history.columns import REST_SUFFIX, SHARE_SECONDS, SHARE_WORK, TOTAL_SUFFIX
from app.services.history.derived import DerivedFigures
from app.services.history.frames import Frame, absent_column, append_frame, cut_frame, summarise_frame
from app.services.history.queries import HistoryQueries
from app.services.history.raw_samples import RawSamples
from app.services.history.recorder import DeviceRecorder
from app.services.history.rollup import Rollup
from app.services.history.shares import ACCEPTED, DIFFICULTY, REJECTED, UPTIME, ShareTotals
from app.services.history.tiers import QUARTER, Tiers
from app.services.history.timekeeper import Timekeeper
from app.services.history.totals_recorder import TotalsRecorder
from app.store.history import DAY, HOUR, HistoryRepository, Tier
from app.supervision import run_supervised

log = logging.getLogger(__name__)

FLUSH_SECONDS = 240.0
TICK_SECONDS = 1.0
# One hour of every series is rolled up within this time.
ROLLUP_SECONDS = 600.0
# A longer pause of the service is a gap in the shares, too.
RESTORE_SECONDS = 24 * HOUR
# Of a restored day, this much is read in full; the windows have coarse buckets before.
FINE_SECONDS = 2 * HOUR
# In the order of the arguments of DerivedFigures.restore_device.
_SHARE_COLUMNS = (ACCEPTED, SHARE_WORK, REJECTED, SHARE_SECONDS, "hashrate_ghs")
_TOTALS = (
    ACCEPTED + TOTAL_SUFFIX,
    REJECTED + TOTAL_SUFFIX,
    DIFFICULTY,
    UPTIME,
    ACCEPTED + REST_SUFFIX,
    REJECTED + REST_SUFFIX,
)


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


class HistoryService:
    """Owns the parts of the history, and its loops. `queries`: answers requests."""

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
            self.timekeeper, read_telemetry, self._restore_device, derived.update_device, clock, poll_interval
        )
        self._totals = TotalsRecorder(fleet, self.timekeeper, self._devices.find_series)
        codec = BlockCodec()
        self._raw = RawSamples(repository, codec, self.timekeeper, self._iterate_buffers, self._find_buffer)
        self._rollup = Rollup(repository, codec, self._raw, tiers, self.timekeeper)
        self.queries = HistoryQueries(fleet, repository, self._rollup, tiers, clock, poll_interval)
        self._deleted: set[str] = set()
        self._stop = Event()
        self._greenlets: list[gevent.Greenlet] = []

    @property
    def is_recording(self) -> bool:
        return self.queries.is_recording

    def start(self) -> None:
        if not self._repository.is_open:
            return
        self.timekeeper.load_spans(self._repository.read_state("spans"))
        self._raw.load_open_hours(self._repository.read_state("open_hours"))
        self._rollup.load_state(self._clock.now().timestamp())
        if not self.is_recording:
            return
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
            self._totals.record_totals()
            self._raw.flush_samples()

    def on_device_polled(self, event: DevicePolled) -> None:
        if self.is_recording:
            self._devices.on_device_polled(event)

    def on_device_deleted(self, event: DeviceDeleted) -> None:
        """The history belongs to the MAC, so it stays for a device that is registered again, unless the setting says
        otherwise."""
        if self._delete_with_device and self._repository.is_open:
            self._devices.delete_series(event.mac)
            self._derived.drop_device(event.mac)
            self._deleted.add(event.mac)
            self._delete_series()

    def _delete_series(self) -> None:
        """Delete what is stored of deleted devices. While the store cannot be written, that waits for the next time."""
        for mac in list(self._deleted):
            with suppress(StoreError):  # the state of the history says so
                self._rollup.delete_series(mac, self._clock.now().timestamp())
                self._deleted.discard(mac)

    def _run_totals(self) -> None:
        while not self._clock.wait(self._stop, self._poll_interval):
            self._totals.record_totals()

    def _run_store(self) -> None:
        """Flush every four minutes; in between, roll up and prune step by step."""
        flush_at = self._clock.monotonic() + FLUSH_SECONDS
        steps: Iterator[None] = iter(())
        reason = ""
        while not self._clock.wait(self._stop, TICK_SECONDS):
            if self._clock.monotonic() >= flush_at:
                flush_at = self._clock.monotonic() + FLUSH_SECONDS
                self.flush_samples()
            try:
                done = list(islice(steps, 1 + int(len(self._fleet) / ROLLUP_SECONDS * TICK_SECONDS)))
            except StoreError as error:
                if str(error) != reason:
                    reason = str(error)
                    log.warning("the history cannot be rolled up now", extra={"reason": reason})
                done = []
            if not done:
                steps = self._rollup_steps()

    def flush_samples(self) -> None:
        """Write what is in memory. On an error it stays there for the next time."""
        self._totals.drop_unused()
        self._repository.retry_writes()
        self._delete_series()
        self._raw.flush_samples()
        for mac in self._devices.drop_unregistered(self._fleet.is_registered):
            self._derived.drop_device(mac)

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
            frame = _coarsen_samples(frame, (now - FINE_SECONDS) // QUARTER * QUARTER)
            columns = [frame.columns.get(name) or absent_column(name, len(frame)) for name in _SHARE_COLUMNS]
            self._derived.restore_device(mac, frame.times, *columns)
        return self._restore_totals(mac, monotonic)

    def _restore_totals(self, mac: str, monotonic: float) -> ShareTotals | None:
        """Return the last recorded share counters, so that shares accepted while the service was stopped count."""
        now, newest = self._clock.now().timestamp(), self.timekeeper.newest
        if newest is None or now - newest > RESTORE_SECONDS:
            return None
        hour = int(newest) // HOUR * HOUR
        for slot in range(hour, int(now - RESTORE_SECONDS), -HOUR):
            frame = self._rollup.read_hour(mac, slot, _TOTALS)
            found = {name: last for name in _TOTALS if (last := _find_last(frame, name))}
            if _TOTALS[0] not in found:
                continue
            at, accepted = found[_TOTALS[0]]
            rejected, difficulty, uptime, *rests = (found.get(name, (at, None)) for name in _TOTALS[1:])
            return ShareTotals(
                monotonic - max(0.0, now - at),
                accepted + (rests[0][1] or 0.0),
                None if rejected[1] is None else rejected[1] + (rests[1][1] or 0.0),
                difficulty[1],
                None if uptime[1] is None else uptime[1] + at - uptime[0],
            )
        return None

    def describe_state(self) -> HistoryState:
        problem = None
        if not self._tiers.is_enabled:
            problem = "The history is disabled: HISTORY_RAW_HOURS, HISTORY_1M_DAYS and HISTORY_15M_DAYS are 0"
        elif not self._repository.is_open:
            problem = "The history could not be opened; the log has the reason. It is tried again at the next start"
        elif self.timekeeper.is_waiting:
            problem = "The time of day is behind recorded times, so nothing is recorded until it is right"
        elif self._raw.is_failing:
            problem = "The history cannot be written now; recent samples wait in memory"
        oldest = self._rollup.find_oldest()
        recording, is_damaged = problem is None, self._repository.is_damaged
        if recording and is_damaged:
            problem = "A part of the history is damaged and left out; the next start of the service repairs the store"
        return HistoryState(
            recording,
            problem,
            self._repository.count_disk_bytes(),
            oldest,
            int(self._tiers.estimate_bytes() * (len(self._fleet.monitored_devices()) + 1)),
            self._raw.dropped_blocks,
            self._raw.damaged_blocks + is_damaged,
        )


def _find_last(frame: Frame, name: str) -> tuple[int, float] | None:
    """Return the time and the value of the last sample that has this column."""
    pairs = zip(reversed(frame.times), reversed(frame.columns.get(name, ())), strict=False)
    return next(((time, value) for time, value in pairs if not isnan(value)), None)


def _coarsen_samples(frame: Frame, border: float) -> Frame:
    """Return the samples with those before `border` summarised to quarters of an hour, under the time of their end."""
    coarse = summarise_frame(cut_frame(frame, 0, border), QUARTER)
    coarse.times = array("I", [time + QUARTER for time in coarse.times])
    append_frame(coarse, cut_frame(frame, border, inf))
    return coarse
