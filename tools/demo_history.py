"""Writes one simulated day of history for `make demo`, so that its first charts are not empty.

The day ends now with the values that the simulated miners of the demo have at their start: same specs, same seed. Three
of them have rebooted within the day, one was out of reach, and one ran at half its rate all night. The service's own
recorder writes it, and a document in the store marks it as simulated.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import gevent
from gevent.event import Event

from app.clock import Clock, format_iso
from app.errors import DeviceError, DeviceTimeout
from app.events import DevicePolled, EventBus
from app.miners.cleaning import clean_info
from app.models import Device, Reading, next_observation
from app.redaction.json_objects import redact_object
from app.services.devices.fleet import Fleet
from app.services.devices.telemetry_reader import TelemetryReader
from app.services.event_log.observer import EventObserver
from app.services.event_log.service import EventLog
from app.services.history.derived import DerivedFigures
from app.services.history.service import HistoryService
from app.services.history.tiers import make_tiers
from app.settings import Settings
from app.store.database import Database
from app.store.devices import DeviceRepository
from app.store.directories import make_private
from app.store.expendable_database import ExpendableDatabase
from app.store.history import MIN_FREE_BYTES, HistoryRepository
from app.store.stores import EVENTS, HISTORY
from simulator import demo_fleet
from simulator.socketless_miner import SocketlessMiner
from simulator.spec import MinerSpec, canonical_mac

SEED = 1  # of `python -m simulator --demo`
HOUR, DAY = 3600, 86400
STEP, LAST_HOUR_STEP = 60, 5
OFFLINE_AFTER = Settings().offline_after_failures
# The Wi-Fi of this miner was out of reach for some time, in seconds before now.
UNREACHABLE, UNREACHABLE_FROM, UNREACHABLE_TO = "supra", 6.5 * HOUR, 5 * HOUR
# The core voltage of this miner was too low at night, so that half of its work was wrong.
UNDERVOLTED, UNDERVOLTED_FROM, UNDERVOLTED_TO, LOW_MILLIVOLTS = "turbo", 10 * HOUR, 3 * HOUR, 1000


class SteppedClock(Clock):
    """A clock that moves only by `advance`, which waits until each greenlet that was due waits for a later time."""

    def __init__(self, begin: datetime) -> None:
        self._begin = begin
        self._seconds = 0.0
        self._moved = Event()
        self._due: dict[gevent.Greenlet, float] = {}

    def now(self) -> datetime:
        return self._begin + timedelta(seconds=self._seconds)

    def monotonic(self) -> float:
        return self._seconds

    def wait(self, event: Event, seconds: float) -> bool:
        due = self._due[gevent.getcurrent()] = self._seconds + seconds
        while not event.is_set() and self._seconds < due:
            gevent.wait([event, self._moved], count=1)
        return bool(event.is_set())

    def advance(self, seconds: float) -> None:
        self._seconds += seconds
        moved, self._moved = self._moved, Event()
        moved.set()
        gevent.sleep(0)
        while any(due <= self._seconds for due in self._due.values()):
            gevent.sleep(0.0001)  # not 0, which would keep the writer thread from running


class DemoMiner:
    """A miner of the demo in the day before the demo. `day_shares`: the shares that are drawn since the start of the
    day, or since its boot in the day."""

    def __init__(self, spec: MinerSpec, clock: Clock, day_shares: int | None = None) -> None:
        self.mac = canonical_mac(spec.mac)
        self.spec = spec
        self._clock = clock
        self._miner = SocketlessMiner(spec, Random(f"{SEED}/{self.mac}"), clock.monotonic)
        machine = self._miner.machine
        # What the simulated miner has at its start, which is the end of this day.
        self.final_accepted, self.final_rejected = machine.shares.accepted, machine.shares.rejected
        uptime = clock.monotonic() - machine.booted_at
        self._boots_at = DAY - uptime
        self._stepped_to = clock.monotonic()
        self._scale = 1.0
        if self._boots_at > 0:
            self._scale = self.final_accepted / day_shares if day_shares else 1.0
        else:
            machine.booted_at = self._boots_at
            machine.shares.accepted = max(0, self.final_accepted - (day_shares or 0))
        nominal = machine.settings["coreVoltage"]
        self._voltages: dict[float, int] = {DAY - UNDERVOLTED_FROM: LOW_MILLIVOLTS, DAY - UNDERVOLTED_TO: nominal}

    @property
    def boots_within_day(self) -> bool:
        return self._boots_at > 0

    @property
    def accepted(self) -> int:
        """The shares since the last boot. They end with those of the simulated miner, however many were drawn: those
        before the day make up the difference, or for a miner that booted in the day a factor."""
        accepted = self._miner.machine.shares.accepted
        return round(accepted * self._scale) if self._clock.monotonic() > self._boots_at else accepted

    def advance_step(self) -> None:
        """Apply what happened since the last step."""
        now = self._clock.monotonic()
        self._miner.update_state()
        if self._boots_at > 0 and self._stepped_to < self._boots_at <= now:
            self._miner.boot()
            self._miner.machine.booted_at = self._boots_at
        if self.spec.hostname == UNDERVOLTED and now in self._voltages:
            self._miner.store_settings({"coreVoltage": self._voltages[now]})
        self._stepped_to = now

    def poll(self) -> Reading | DeviceError:
        """Return the outcome of a poll now."""
        now = self._clock.monotonic()
        left = DAY - now
        is_away = self.spec.hostname == UNREACHABLE and UNREACHABLE_TO < left <= UNREACHABLE_FROM
        if is_away or 0 <= now - self._boots_at < STEP:
            return DeviceTimeout()
        values = self._miner.read_values()
        values["sharesAccepted"] = self.accepted
        values["sharesRejected"] = self.accepted * self.final_rejected // self.final_accepted
        return Reading(clean_info(values), self.mac, self._clock.now(), self._clock.moment())


def list_steps() -> list[int]:
    """Return the steps of the day in seconds: each poll in the last hour, as the raw tier has them; minutes before."""
    return [STEP] * ((DAY - HOUR) // STEP) + [LAST_HOUR_STEP] * (HOUR // LAST_HOUR_STEP)


def count_day_shares(spec: MinerSpec) -> int:
    """Return the shares that the day draws, since its start or since a boot in it."""
    clock = SteppedClock(datetime.now(UTC))
    miner = DemoMiner(spec, clock, day_shares=0)
    before = miner.accepted
    for step in list_steps():
        clock.advance(step)
        miner.advance_step()
    return miner.accepted - (0 if miner.boots_within_day else before)


def write_simulated_day(data_dir: Path, end: datetime) -> bool:
    """Write the day before `end`, unless there is a history. Return whether it was written."""
    clock = SteppedClock(end - timedelta(seconds=DAY))
    make_private(data_dir)
    with ExitStack() as opened:
        paths = (data_dir / HISTORY, data_dir / EVENTS)
        history, events = (opened.enter_context(open_database(path, clock)) for path in paths)
        scratch = opened.enter_context(TemporaryDirectory())
        repository = HistoryRepository(history, MIN_FREE_BYTES)
        if repository.find_first_slot() is not None:
            return False
        core = Database(Path(scratch) / "core")  # for a fleet that exists only here
        core.open(clock)
        fleet = Fleet(DeviceRepository(core, redact_object), clock)
        record_day(repository, events, fleet, clock)
        core.close()
        span = {"from": format_iso(end - timedelta(seconds=DAY)), "to": format_iso(end)}
        repository.write_blocks({}, {"simulated": span})
    return True


@contextmanager
def open_database(path: Path, clock: Clock) -> Iterator[ExpendableDatabase]:
    database = ExpendableDatabase(path)
    database.open(clock)
    try:
        yield database
    finally:
        database.close()


def record_day(repository: HistoryRepository, events: ExpendableDatabase, fleet: Fleet, clock: SteppedClock) -> None:
    """Poll the miners for a day, and record it with its events."""
    miners = [DemoMiner(spec, clock, count_day_shares(spec)) for spec in demo_fleet()]
    settings = Settings()
    history = HistoryService(
        repository,
        fleet,
        TelemetryReader().read_device,
        DerivedFigures(fleet, clock),
        make_tiers(LAST_HOUR_STEP, settings.history_raw_hours, settings.history_1m_days, settings.history_15m_days),
        clock,
        LAST_HOUR_STEP,
        lambda: None,
        delete_with_device=False,
    )
    event_log = EventLog(
        events,
        fleet.is_registered,
        EventBus(),
        clock,
        lambda dropped: None,
        days=settings.history_event_days,
        per_device=settings.history_events_per_device,
        delete_with_device=False,
    )
    observer = EventObserver(event_log, fleet)
    history.start()
    event_log.start()
    tracked = fleet.save_devices(Device(miner.mac, miner.spec.address[0]) for miner in miners)
    for each in tracked:
        fleet.set_monitored(each, True)
    for step in list_steps():
        clock.advance(step)
        for miner, each in zip(miners, tracked, strict=True):
            miner.advance_step()
            before = each.observation
            fleet.record_observation(each, next_observation(before, miner.poll(), OFFLINE_AFTER))
            history.on_device_polled(DevicePolled(each, before))
            observer.on_device_polled(DevicePolled(each, before))
    history.stop()
    event_log.stop()
    history.complete_rollups()


def main(arguments: list[str]) -> int:
    (data_dir,) = arguments
    written = write_simulated_day(Path(data_dir), datetime.now(UTC))
    print("one simulated day was written" if written else "there is a history already")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
