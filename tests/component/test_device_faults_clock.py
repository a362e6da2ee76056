"""The time of day jumps: intervals go by a clock that does not, so nothing is asked twice, missed or lost."""

from datetime import UTC, datetime, timedelta

import pytest
from fakes import eventually

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
JUMPS = {
    "an hour on": HOUR,
    "an hour back": -HOUR,
    "a day on": DAY,
    "a day back": -DAY,
    "an NTP step": timedelta(milliseconds=-700),
    "past 2038": datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC) - datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "a Pi without a battery": datetime(1970, 1, 2, tzinfo=UTC) - datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
}
jumps = pytest.mark.parametrize("jump", JUMPS.values(), ids=JUMPS)


def lines(caplog):
    return [record.getMessage() for record in caplog.records if record.getMessage() in ("miner lost", "miner is back")]


@jumps
def test_polls_go_on_as_ever(house, clock, jump, caplog):
    service, fleet = house("2.12", "2.4", "2.15", "nerd")
    *healthy, dead = fleet
    dead.fault = "refuse"
    service.round()
    before = {miner.mac: service.observed(miner.mac) for miner in healthy}
    clock.step_wall(jump)
    service.round(2)
    assert service.status(dead.mac) == "offline"
    service.round(3)
    clock.step_wall(-jump)
    service.round(3)
    assert {service.observed(mac) - was for mac, was in before.items()} == {8}
    dead.clear_fault()
    service.round()
    assert service.status(dead.mac) == "online"
    assert lines(caplog) == ["miner lost", "miner is back"]


@jumps
def test_a_long_dead_miner_is_asked_as_rarely_as_before(house, clock, jump):
    service, (miner,) = house("2.12", poll_interval=5.0)
    miner.power_off()
    service.round(60)
    misses = service.runtime.fleet.get(miner.mac).observation.failures
    clock.step_wall(jump)
    service.round(24)
    assert 1 <= service.runtime.fleet.get(miner.mac).observation.failures - misses <= 4


@jumps
def test_what_users_ask_works_in_any_year(house, clock, jump):
    service, (miner, other) = house("2.10", "2.10", poll_interval=5.0)
    settings = {"info": {"frequency": 550}}
    service.ok(service.client.patch(f"/devices/{miner.mac}/system", json=settings))
    clock.step_wall(jump)
    service.round(2)
    service.ok(service.client.patch(f"/devices/{other.mac}/system", json=settings))
    preset = {"name": "x", "configuration": {"stratumURL": "pool.example"}}
    for _ in range(2):
        service.ok(service.client.post("/presets", json=preset))
    job = service.client.post("/jobs", json={"action": "identify", "devices": [miner.mac], "dryRun": True})
    assert job.status_code in (200, 400), job.get_data(as_text=True)
    paths = ["/devices/imprint", f"/devices/{miner.mac}/journal", f"/devices/{miner.mac}/logs", "/presets", "/jobs",
             "/devices/discovered", "/metrics", "/", "/healthz", "/readyz"]  # fmt: skip
    assert {service.client.get(path, buffered=True).status_code for path in paths} == {200}
    year = clock.now().year
    assert service.device(miner.mac)["lastSeen"].startswith(f"{year:04d}-")
    service.round(8)
    assert service.device(miner.mac)["drift"] == service.device(other.mac)["drift"] == []


@jumps
def test_a_change_by_somebody_else_is_noticed_all_the_same(house, clock, jump):
    """Not half a minute after our own write, as long as that is ago by either clock."""
    service, (miner,) = house("2.10", poll_interval=5.0)
    service.ok(service.client.patch(f"/devices/{miner.mac}/system", json={"info": {"frequency": 550}}))
    service.round(8)
    clock.step_wall(jump)
    miner.store({"frequency": 400})
    service.round(8)
    (row,) = service.device(miner.mac)["drift"]
    assert (row["key"], row["actual"]) == ("frequency", 400)


def test_a_scan_is_as_long_as_ever(house, clock):
    service, _ = house("2.12", "2.4")
    clock.step_wall(-DAY)
    assert len(service.ok(service.client.get("/devices/discover"))) == 2
    assert len(service.ok(service.client.get("/devices/discovered"))) == 2


@pytest.mark.parametrize("jump", [-DAY, DAY], ids=["a day back", "a day on"])
def test_a_repair_long_ago_by_either_clock_does_not_keep_the_next_one_back(house, clock, jump):
    service, (miner,) = house("2.10", poll_interval=5.0, auto_repair=True)
    service.ok(service.client.patch(f"/devices/{miner.mac}/system", json={"info": {"frequency": 550}}))
    for _ in range(2):
        service.round(8)
        miner.store({"frequency": 400})
        eventually(lambda: service.round() or miner.settings.stored["frequency"] == 550)
        eventually(lambda: service.round() or all(job.over for job in service.runtime.jobs.all()), 15)
        clock.step_wall(jump)
