"""A simulated week equals the simulator's truth to the precision of float32, across restarts of the service and of the
devices. Fake time, real LevelDB, the real service without its polls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

import orjson
import pytest
from fakes import FakeClock
from history_truth import COUNTERS, EFFICIENCY, GAUGES, DeviceTruth, Summary
from testbed import Service

from app.errors import DeviceTimeout
from app.events import DevicePolled
from app.models import Device, Reading, next_observation
from app.services.history.blocks import BlockCodec
from app.services.history.queries import HistoryRange
from app.store.history import HistoryRepository, Tier
from simulator.socketless_miner import SocketlessMiner
from simulator.spec import MinerSpec

MINUTE, QUARTER, HOUR, DAY = 60, 900, 3600, 86400
NAMES = [*GAUGES, EFFICIENCY]
PRECISION = 2.5e-7  # two roundings to float32
KINDS = [("2.12", "601"), ("2.15", "801"), ("2.4", "204"), ("nerd", "nerdqaxe+")]
MACS = [f"02:00:5e:00:00:{number:02x}" for number in range(1, 5)]


class SimulatedDevice:
    """A simulated miner with its truth: reboots, outages, pauses, new settings and pool difficulties at random."""

    def __init__(self, mac: str, generation: str, board: str, period: int, clock: FakeClock) -> None:
        self.mac, self.period = mac, period
        self.truth = DeviceTruth()
        self._clock = clock
        self._rng = Random(mac)
        self._miner = SocketlessMiner(MinerSpec(generation, board, mac=mac), Random(mac), clock.monotonic)
        self._first_count = self._miner.machine.shares.accepted
        self._finished = 0  # the last known counts before each reboot
        self._is_counted = False
        self._silent_until = 0.0
        self._spike_at = clock.monotonic() + 20 * HOUR
        self._next_change = clock.monotonic() + self._rng.uniform(1, 2) * HOUR
        self._changes: Iterator[Callable[[], None]] = self._list_changes()

    def _list_changes(self) -> Iterator[Callable[[], None]]:
        """Yield all kinds of change in turn, for ever."""
        while True:
            yield lambda: self._reboot(difficulty=8192.0)
            yield self._reboot_to_higher_count
            yield lambda: self._be_silent(self._rng.uniform(1, 15) * MINUTE)
            yield lambda: self._pause(True)
            yield lambda: self._pause(False)
            yield lambda: self._miner.store_settings({"frequency": self._rng.choice((400, 450, 500, 525))})
            yield lambda: self._set_difficulty(2048.0)
            yield lambda: self._be_silent(self._rng.uniform(1, 4) * HOUR)

    def count_known_shares(self) -> int:
        """Return the accepted shares since the first poll, without those that a reboot cleared before a poll."""
        return self._finished + int(self.truth.last_count) - self._first_count

    def _reboot_to_higher_count(self) -> None:
        """Reboot, and be silent until the count is higher than before, while the uptime is not."""
        uptime = self._clock.monotonic() - self._miner.machine.booted_at
        self._reboot(uptime / 2, difficulty=1000.0)

    def _reboot(self, silent: float = 20, *, difficulty: float) -> None:
        self._finished += int(self.truth.last_count) if self._is_counted else 0
        self._is_counted = False
        self._miner.boot()
        self._be_silent(silent)
        self._set_difficulty(difficulty)

    def _be_silent(self, seconds: float) -> None:
        self._silent_until = self._clock.monotonic() + seconds

    def _pause(self, paused: bool) -> None:
        self._miner.update_state()
        self._miner.machine.paused = paused
        self._miner.machine.update_plan(self._clock.monotonic())

    def _set_difficulty(self, difficulty: float) -> None:
        self._miner.update_state()
        self._miner.machine.difficulty = difficulty
        self._miner.machine.update_plan(self._clock.monotonic())

    def read_answer(self) -> dict[str, Any] | None:
        """Return the answer to a poll now, None if there is none; the truth is recorded."""
        now = self._clock.monotonic()
        if now >= self._next_change:
            next(self._changes)()
            self._next_change = now + self._rng.uniform(0.5, 5) * HOUR
        time = self._clock.now().timestamp()
        if now < self._silent_until:
            self.truth.add_miss(time)
            return None
        info: dict[str, Any] = orjson.loads(self._miner.print_info())
        if now >= self._spike_at:  # AxeOS reports such a rate after a resume
            self._spike_at += 17 * HOUR
            info["hashRate"] = 953e6
        self.truth.add_answer(time, info)
        self._is_counted = True
        return info


class Week:
    """The devices, and the service that records them. Restarts of the service keep both going."""

    def __init__(self, make_service: Callable[..., Service], clock: FakeClock) -> None:
        clock.advance(DAY - clock.now().timestamp() % DAY)
        self.clock = clock
        self.start = int(clock.now().timestamp())
        self.devices = [
            SimulatedDevice(mac, *kind, 5 if at == 0 else 60, clock)
            for at, (mac, kind) in enumerate(zip(MACS, KINDS, strict=True))
        ]
        self._make_service = make_service
        self.service = make_service(clock=clock, auto_listen=False)
        fleet = self.service.runtime.fleet
        fleet.save_devices(Device(mac, f"127.80.0.{at + 1}") for at, mac in enumerate(MACS))
        self._monitor_all()

    def _monitor_all(self) -> None:
        for tracked in self.service.runtime.fleet.all_devices():
            self.service.runtime.fleet.set_monitored(tracked, True)

    def restart_service(self, seconds: float) -> None:
        """Stop the service, and start it after `seconds`."""
        self.service.stop()
        self.clock.advance(seconds)
        self.service = self._make_service(clock=self.clock, auto_listen=False)
        self._monitor_all()
        for device in self.devices:
            device.truth.restart_service()

    def run(self, seconds: int, step: int) -> None:
        """Advance time in steps, and poll the devices that are due in each."""
        stop = self.clock.monotonic() + seconds
        while self.clock.monotonic() < stop:
            for device in self.devices:
                if int(self.clock.now().timestamp()) % max(device.period, step) == 0:
                    self._poll_device(device)
            self.clock.advance(step)
            self.service.wait_until_idle()

    def _poll_device(self, device: SimulatedDevice) -> None:
        """Record one poll as the poller does."""
        info = device.read_answer()
        runtime = self.service.runtime
        tracked = runtime.fleet.get_device(device.mac)
        before = tracked.observation
        outcome = DeviceTimeout() if info is None else Reading(info, device.mac, self.clock.now())
        assert runtime.fleet.record_observation(tracked, next_observation(before, outcome, 3))
        runtime.events.publish(DevicePolled(tracked, before))

    def query(self, mac: str, start: int, stop: int, step: int) -> Any:
        names = [*NAMES, *COUNTERS, "status"]
        times = (datetime.fromtimestamp(each, UTC) for each in (start, stop))
        return self.service.runtime.history.queries.query_device(
            mac, names, HistoryRange(*times, (stop - start) // step)
        )


def assert_equals_truth(answer: Any, truth: dict[int, Summary]) -> int:
    """Compare every value of an answer. Return how many there are."""
    compared = 0
    spans = [truth.get(time, Summary(())) for time in answer.times]
    for name in NAMES:
        expected = {
            "mean": [span.mean(name) for span in spans],
            "min": [span.minimum(name) for span in spans],
            "max": [span.maximum(name) for span in spans],
        }
        compared += compare_columns(name, answer.metrics[name], expected, answer.times)
    for name in COUNTERS:
        sums = {"sum": [span.increase(name) for span in spans]}
        compared += compare_columns(name, answer.metrics[name], sums, answer.times)
    shares = [span.status_shares() for span in spans]
    statuses = {status for share in shares if share for status in share}
    expected = {status: [None if share is None else share.get(status, 0.0) for share in shares] for status in statuses}
    assert answer.metrics["status"].keys() == statuses
    return compared + compare_columns("status", answer.metrics["status"], expected, answer.times)


def assert_counts_equal_truth(week: Week, device: SimulatedDevice, day: int) -> None:
    """Compare the stored numbers of readings, which no answer shows, in each minute of a day that is rolled up."""
    repository, codec = HistoryRepository(week.service.runtime.stores.history, 0), BlockCodec()
    truth = device.truth.summarise(day, day + DAY - HOUR, MINUTE)
    stored = {}
    for hour in range(day, day + DAY - HOUR, HOUR):
        for block in repository.read_slot(Tier.MINUTE, hour, device.mac):
            frame = codec.decode_block(block)
            stored |= {
                time: {name: frame.columns[name + "#"][at] for name in NAMES if name in frame.columns}
                for at, time in enumerate(frame.times)
            }
    assert stored.keys() == truth.keys()
    for time, span in truth.items():
        assert {name: count for name, count in stored[time].items() if count} == {
            name: count for name in NAMES if (count := len(span.list_values(name)))
        }


def compare_columns(name: str, found: dict[str, Any], expected: dict[str, Any], times: Any) -> int:
    assert found.keys() == expected.keys()
    count = 0
    for statistic, column in expected.items():
        for time, value, wanted in zip(times, found[statistic], column, strict=True):
            is_equal = (
                value is None
                if wanted is None
                else value is not None and abs(value - wanted) <= PRECISION * max(abs(wanted), 1e-6)
            )
            assert is_equal, f"{name} {statistic} at {time}: {value!r} instead of {wanted!r}"
            count += wanted is not None
    return count


@pytest.mark.timeout(300)
def test_week_equals_truth(make_service: Callable[..., Service], clock: FakeClock) -> None:
    week = Week(make_service, clock)
    compared = 0
    for day in range(7):
        start = week.start + day * DAY
        if day == 0:
            week.run(9 * HOUR, 5)
            week.restart_service(600)
            week.run(start + DAY - int(clock.now().timestamp()), 5)
        else:
            week.run(13 * HOUR, 60)
            week.restart_service(120 * day)
            week.run(start + DAY - int(clock.now().timestamp()), 60)
        history = week.service.runtime.history
        if day % 2:  # the other days are read from samples that are not rolled up
            history.flush_samples()
            history.complete_rollups()
            for device in week.devices:
                assert_counts_equal_truth(week, device, start)
        for device in week.devices:
            for step, tier in ((MINUTE, "1m"), (QUARTER, "15m"), (HOUR, "15m")):
                answer = week.query(device.mac, start, start + DAY, step)
                assert (answer.tier, answer.step, len(answer.times)) == (tier, step, DAY // step)
                compared += assert_equals_truth(answer, device.truth.summarise(start, start + DAY, step))
        recent = week.query(MACS[0], start + DAY - HOUR, start + DAY, 5)
        assert (recent.tier, recent.step) == ("raw", 5)
        compared += assert_equals_truth(recent, week.devices[0].truth.summarise(start + DAY - HOUR, start + DAY, 5))
    assert clock.now().timestamp() == week.start + 7 * DAY
    for device in week.devices:
        answer = week.query(device.mac, week.start, week.start + 7 * DAY, QUARTER)
        compared += assert_equals_truth(answer, device.truth.summarise(week.start, week.start + 7 * DAY, QUARTER))
        shares = [value for value in answer.metrics["shares_accepted"]["sum"] if value is not None]
        assert sum(shares) == device.count_known_shares() > 10_000
    assert compared > 1_000_000
