"""The simulated day that `make demo` starts with."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeClock
from history_helpers import query_history
from testbed import Service

from app.clock import format_iso
from app.events import DevicePolled
from app.miners.cleaning import clean_info
from app.models import Device, Observation, Reading, Status
from simulator import Fleet, Miner, demo_fleet
from tools.demo_history import UNDERVOLTED, UNREACHABLE, write_simulated_day

Make = Callable[..., Any]
MINUTES = 24 * 60


@pytest.fixture
def demo(make_service: Make, tmp_path: Path, clock: FakeClock) -> tuple[Service, Fleet]:
    """The service after the day was written, and the miners of the demo at their start."""
    assert write_simulated_day(tmp_path / "data", clock.now())
    fleet = Fleet(demo_fleet(), clock=clock.monotonic)
    service: Service = make_service(clock=clock, auto_listen=False)
    records = service.runtime.fleet.save_devices(Device(miner.mac, miner.spec.address[0]) for miner in fleet)
    for tracked in records:
        service.runtime.fleet.set_monitored(tracked, True)
    return service, fleet


def find_miner(fleet: Fleet, hostname: str) -> Miner:
    return next(miner for miner in fleet if miner.spec.hostname == hostname)


def read_day(service: Service, what: str, *names: str) -> dict[str, Any]:
    answer = query_history(service, what, metrics=",".join(names), start="-24h", points=MINUTES)
    assert len(answer["times"]) == MINUTES
    metrics: dict[str, Any] = answer["metrics"]
    return metrics


def test_each_device_has_a_day_that_ends_with_its_present_values(demo: tuple[Service, Fleet]) -> None:
    service, fleet = demo
    for miner in fleet:
        info = miner.read_info()
        day = read_day(service, miner.mac, "hashrate_ghs", "power_watts", "uptime_seconds")
        for name, field, tolerance in (("hashrate_ghs", "hashRate", 0.25), ("power_watts", "power", 0.02)):
            values = day[name]["mean"]
            assert sum(value is not None for value in values) > MINUTES - 100
            assert values[-1] == pytest.approx(info[field], rel=tolerance)
        assert day["uptime_seconds"]["last"][-1] == pytest.approx(info["uptimeSeconds"], abs=60)


def test_counters_of_the_present_miners_continue_those_of_the_day(demo: tuple[Service, Fleet]) -> None:
    """A counter below the recorded one would count as a reset, and all of its shares as new."""
    service, fleet = demo
    runtime = service.runtime
    service.clock.advance(10)
    for miner in fleet:
        tracked = runtime.fleet.get_device(miner.mac)
        reading = Reading(clean_info(miner.read_info()), miner.mac, service.clock.now())
        before = tracked.observation
        runtime.fleet.record_observation(tracked, Observation(Status.ONLINE, reading))
        runtime.events.publish(DevicePolled(tracked, before))
    service.clock.advance(5)
    for miner in fleet:
        answer = query_history(service, miner.mac, metrics="shares_accepted", start="-10s", points=1)
        (new,) = answer["metrics"]["shares_accepted"]["sum"]
        assert 0 <= new <= 12


def test_day_has_reboots_a_gap_and_a_bad_device(demo: tuple[Service, Fleet]) -> None:
    service, fleet = demo
    uptimes = [read_day(service, miner.mac, "uptime_seconds")["uptime_seconds"]["last"] for miner in fleet]
    known = [[value for value in values if value is not None] for values in uptimes]
    assert sum(values != sorted(values) for values in known) == 3

    away = read_day(service, find_miner(fleet, UNREACHABLE).mac, "hashrate_ghs", "status", "shares_accepted")
    assert sum(value is None for value in away["hashrate_ghs"]["mean"]) in (90, 91)
    assert away["status"]["offline"].count(1.0) in (88, 89)

    bad = read_day(service, find_miner(fleet, UNDERVOLTED).mac, "hashrate_percent", "core_voltage_volts")
    percents = [value for value in bad["hashrate_percent"]["mean"] if value is not None]
    assert sum(40 < value < 60 for value in percents) == 7 * 60
    assert percents[-1] > 95
    volts = [value for value in bad["core_voltage_volts"]["last"] if value is not None]
    assert (min(volts), volts[-1]) == (1.0, pytest.approx(1.15))


def test_day_has_its_events(demo: tuple[Service, Fleet]) -> None:
    service, fleet = demo
    rows = service.read_data(service.client.get("/events?kind=offline,online,reboot&since=-25h&limit=50"))
    kinds = [row["kind"] for row in rows]
    assert (kinds.count("reboot"), kinds.count("offline"), kinds.count("online")) == (3, 1, 1)
    online = next(row for row in rows if row["kind"] == "online")
    assert online["mac"] == find_miner(fleet, UNREACHABLE).mac
    assert online["details"]["seconds"] == pytest.approx(5400, abs=200)


def test_shares_of_a_healthy_miner_prove_its_hashrate(demo: tuple[Service, Fleet]) -> None:
    service, fleet = demo
    mac = find_miner(fleet, UNDERVOLTED).mac
    healthy = {"metrics": "proven_hashrate_ghs,hashrate_ghs", "start": "-23h", "stop": "-11h", "points": 1}
    metrics = query_history(service, mac, **healthy)["metrics"]
    (low,), (high,), (reported,) = (
        *(metrics["proven_hashrate_ghs"][each] for each in ("low", "high")), metrics["hashrate_ghs"]["mean"],
    )  # fmt: skip
    assert low * 0.97 < reported < high * 1.03


def test_fleet_has_sums_for_the_day(demo: tuple[Service, Fleet]) -> None:
    service, fleet = demo
    day = read_day(service, "fleet", "hashrate_ghs", "devices_online")
    total = sum(miner.read_info()["hashRate"] for miner in fleet)
    assert day["hashrate_ghs"]["mean"][-2] == pytest.approx(total, rel=0.1)
    assert {11.0, 12.0} <= set(day["devices_online"]["max"])


def test_day_is_marked_as_simulated(demo: tuple[Service, Fleet]) -> None:
    service, fleet = demo
    end = service.clock.now()
    span = {"from": format_iso(end - timedelta(days=1)), "to": format_iso(end)}
    for what in (fleet[0].mac, "fleet"):
        assert query_history(service, what, metrics="hashrate_ghs", start="-1h", points=10)["simulated"] == span


def test_existing_history_is_left_alone(demo: tuple[Service, Fleet], tmp_path: Path, clock: FakeClock) -> None:
    service, fleet = demo
    before = read_day(service, fleet[0].mac, "hashrate_ghs")
    service.stop()
    clock.advance(0.5)
    assert not write_simulated_day(tmp_path / "data", clock.now() + timedelta(days=2))
    assert before["hashrate_ghs"]["mean"].count(None) < 100
