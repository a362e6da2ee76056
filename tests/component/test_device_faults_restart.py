"""A miner that restarts because we told it to is silent for a while: for a minute that is no news, and no alarm."""

import pytest
from fakes import eventually

from simulator import Timings

# It stays away until the test lets it come back.
LONG_BOOT = Timings(boot=300.0, before_restart=0.01, mining=0.0, queue=0.01, cooling=0.5, resume=0.1)
POOL = {"stratumURL": "pool.example", "stratumPort": 3333, "stratumUser": "bc1q.x"}


@pytest.fixture
def live_testbed(testbed):
    """A miner that has been up for a while and queues no writes, and another beside it."""

    def build(**settings):
        service, (miner, other) = testbed("2.10", "2.12", poll_interval=5.0, timings=LONG_BOOT, **settings)
        service.clock.advance(100)
        service.round(2)
        return service, miner, other

    return build


def by_command(service, miner):
    service.ok(service.client.post(f"/devices/{miner.mac}/system/restart"))
    eventually(lambda: not miner.powered)


def by_a_write_with_restart(service, miner):
    service.ok(service.client.patch(f"/devices/{miner.mac}/system", json={"info": POOL, "restart": True}))
    eventually(lambda: not miner.powered)


def by_a_job(service, miner):
    body = {"action": "restart", "devices": [miner.mac], "waves": [], "pauseSeconds": 0}
    assert service.client.post("/jobs", json=body).status_code == 202
    eventually(lambda: not miner.powered)


def over_a_write(service, miner):
    """It crashes over a PATCH: the connection ends without an answer."""
    miner.set_fault("reset", method="PATCH")
    response = service.client.patch(f"/devices/{miner.mac}/system", json={"info": {"frequency": 550}})
    assert response.status_code in (200, 502)
    miner.power_off()
    miner.clear_fault()


HOW = [by_command, by_a_write_with_restart, by_a_job, over_a_write]


def lines(caplog):
    return [record.getMessage() for record in caplog.records if record.getMessage() in ("miner lost", "miner is back")]


@pytest.mark.parametrize("restart", HOW)
def test_twenty_seconds_of_silence_are_no_alarm(live_testbed, restart, caplog):
    service, miner, other = live_testbed()
    polls = service.observed(other.mac)
    restart(service, miner)
    for _ in range(4):
        service.round()
        device = service.device(miner.mac)
        assert (device["status"], device["tracing"], device["stale"]) == ("restarting", True, False)
        assert service.scrape().of_device(miner.mac)["up"] == 1
    miner.power_on()
    service.round()
    assert service.status(miner.mac) == "online"
    assert ("DeviceFailed", miner.mac) not in service.events
    assert lines(caplog) == []
    assert service.scrape().get_one("pluto_device_restarts_total", mac=miner.mac) == 1
    assert service.observed(other.mac) >= polls + 5


@pytest.mark.parametrize("restart", HOW)
def test_one_that_does_not_come_back_within_a_minute_is_lost(live_testbed, restart, caplog):
    service, miner, _ = live_testbed()
    restart(service, miner)
    service.round(11)
    assert service.status(miner.mac) == "restarting"
    assert lines(caplog) == []
    service.round(3)
    assert service.status(miner.mac) == "offline"
    assert service.scrape().of_device(miner.mac)["up"] == 0
    assert lines(caplog) == ["miner lost"]
    assert ("DeviceFailed", miner.mac) in service.events


def test_one_that_nobody_told_to_is_lost_as_ever(live_testbed, caplog):
    service, miner, _ = live_testbed()
    miner.power_off()
    service.round(2)
    assert service.status(miner.mac) == "stale"
    service.round(2)
    assert service.status(miner.mac) == "offline"
    assert lines(caplog) == ["miner lost"]


def test_one_that_came_back_and_dies_again_is_lost_as_ever(live_testbed):
    service, miner, _ = live_testbed()
    by_command(service, miner)
    service.round()
    miner.power_on()
    service.round()
    miner.power_off()
    service.round(4)
    assert service.status(miner.mac) == "offline"


def test_one_that_was_lost_before_stays_lost(live_testbed):
    """It answered the command, and no poll yet."""
    service, miner, _ = live_testbed()
    miner.power_off()
    service.round(5)
    miner.power_on()
    by_command(service, miner)
    service.round()
    assert service.status(miner.mac) == "offline"


@pytest.mark.parametrize("fault", [["other_mac"], ["status_500"]])
def test_a_restart_that_the_miner_refuses_changes_nothing(live_testbed, fault):
    service, miner, _ = live_testbed()
    miner.set_fault(*fault, **({"method": "POST"} if fault == ["status_500"] else {}))
    assert service.client.post(f"/devices/{miner.mac}/system/restart").status_code in (409, 502)
    miner.clear_fault()
    miner.power_off()
    service.round(4)
    assert service.status(miner.mac) == "offline"
