"""Writes one simulated day of history for `make demo`, so that its first charts are not empty.

The day ends now with the values that the simulated miners of the demo have at their start: same specs, same seed. Three
of them have rebooted within the day, one was out of reach, and one ran at half its rate all night. The service's own
recorder writes it, and a document in the store marks it as simulated.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import gevent
from gevent.event import Event

from app.clock import Clock, format_iso
from app.errors import DeviceError, DeviceTimeout
from app.events import DevicePolled
from app.miners.cleaning import clean_info
from app.models import Device, Reading, next_observation
from app.redaction.json_objects import redact_object
from app.services.devices.fleet import Fleet, Tracked
from app.services.devices.telemetry_reader import TelemetryReader
from app.services.history.derived import DerivedFigures
from app.services.history.service import HistoryService
from app.services.history.tiers import MINUTE, QUARTER, Tiers
from app.settings import Settings
from app.store.database import Database
from app.store.devices import DeviceRepository
from app.store.directories import make_private
from app.store.expendable_database import ExpendableDatabase
from app.store.history import MIN_FREE_BYTES, HistoryRepository, Tier
from app.store.stores import HISTORY
from simulator import demo_fleet
from simulator.socketless_miner import SocketlessMiner
from simulator.spec import MinerSpec, canonical_mac

SEED = 1  # of `python -m simulator --demo`
HOUR, DAY = 3600, 86400
STEP = 60
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
    """A miner of the demo in the day before the demo. `share_scale`: factor for the shares since its last boot."""

    def __init__(self, spec: MinerSpec, clock: Clock, share_scale: float = 1.0) -> None:
        self.mac = canonical_mac(spec.mac)
        self.spec = spec
        self._clock = clock
        self._miner = SocketlessMiner(spec, Random(f"{SEED}/{self.mac}"), clock.monotonic)
        machine = self._miner.machine
        # What the simulated miner has at its start, which is the end of this day.
        self.final_accepted, self.final_rejected = machine.shares.accepted, machine.shares.rejected
        uptime = clock.monotonic() - machine.booted_at
        self._boots_at = DAY - uptime
        self._share_scale = share_scale
        if self._boots_at <= 0:
            machine.booted_at = self._boots_at
            machine.shares.accepted = int(self.final_accepted * (uptime - DAY) / uptime)
        nominal = machine.settings["coreVoltage"]
        self._voltages: dict[float, int] = {DAY - UNDERVOLTED_FROM: LOW_MILLIVOLTS, DAY - UNDERVOLTED_TO: nominal}

    @property
    def accepted(self) -> int:
        """The shares since the last boot. Their number is exact at the end of the day, however many were drawn."""
        accepted = self._miner.machine.shares.accepted
        return round(accepted * self._share_scale) if self._clock.monotonic() > self._boots_at else accepted

    def advance_step(self) -> None:
        """Apply what happens in the step that ends now."""
        now = self._clock.monotonic()
        self._miner.update_state()
        if self._boots_at > 0 and now - STEP < self._boots_at <= now:
            self._miner.boot()
            self._miner.machine.booted_at = self._boots_at
        if self.spec.hostname == UNDERVOLTED and now in self._voltages:
            self._miner.store_settings({"coreVoltage": self._voltages[now]})

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


def compute_share_scale(spec: MinerSpec) -> float:
    """Return the factor that makes the shares of the day end at those of the simulated miner's start."""
    clock = SteppedClock(datetime.now(UTC))
    miner = DemoMiner(spec, clock)
    for _ in range(DAY // STEP):
        clock.advance(STEP)
        miner.advance_step()
    return miner.final_accepted / miner.accepted


def write_simulated_day(data_dir: Path, end: datetime) -> bool:
    """Write the day before `end`, unless there is a history. Return whether it was written."""
    clock = SteppedClock(end - timedelta(seconds=DAY))
    make_private(data_dir)
    with open_history(data_dir / HISTORY, clock) as repository, TemporaryDirectory() as scratch:
        if repository.find_first_slot() is not None:
            return False
        core = Database(Path(scratch) / "core")  # for a fleet that exists only here
        core.open(clock)
        fleet = Fleet(DeviceRepository(core, redact_object), clock)
        record_day(repository, fleet, clock)
        core.close()
        span = {"from": format_iso(end - timedelta(seconds=DAY)), "to": format_iso(end)}
        repository.write_blocks({}, {"simulated": span})
    return True


@contextmanager
def open_history(path: Path, clock: Clock) -> Iterator[HistoryRepository]:
    database = ExpendableDatabase(path)
    database.open(clock)
    try:
        yield HistoryRepository(database, MIN_FREE_BYTES)
    finally:
        database.close()


def record_day(repository: HistoryRepository, fleet: Fleet, clock: SteppedClock) -> None:
    """Poll the miners once a minute for a day, and record it."""
    miners = [DemoMiner(spec, clock, compute_share_scale(spec)) for spec in demo_fleet()]
    settings = Settings()
    history = HistoryService(
        repository,
        fleet,
        TelemetryReader().read_device,
        DerivedFigures(fleet, clock, STEP),
        Tiers(
            {Tier.RAW: STEP, Tier.MINUTE: MINUTE, Tier.QUARTER: QUARTER},
            {
                Tier.RAW: settings.history_raw_hours * HOUR,
                Tier.MINUTE: settings.history_1m_days * DAY,
                Tier.QUARTER: settings.history_15m_days * DAY,
            },
        ),
        clock,
        STEP,
        lambda: None,
        delete_with_device=False,
    )
    history.start()
    tracked = fleet.save_devices(Device(miner.mac, miner.spec.address[0]) for miner in miners)
    for each in tracked:
        fleet.set_monitored(each, True)
    for _ in range(DAY // STEP):
        clock.advance(STEP)
        for miner, each in zip(miners, tracked, strict=True):
            miner.advance_step()
            record_poll(history, fleet, each, miner.poll())
    history.stop()
    history.complete_rollups()


def record_poll(history: HistoryService, fleet: Fleet, tracked: Tracked, outcome: Reading | DeviceError) -> None:
    before = tracked.observation
    fleet.record_observation(tracked, next_observation(before, outcome, OFFLINE_AFTER))
    history.on_device_polled(DevicePolled(tracked, before))


def main(arguments: list[str]) -> int:
    (data_dir,) = arguments
    written = write_simulated_day(Path(data_dir), datetime.now(UTC))
    print("one simulated day was written" if written else "there is a history already")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
