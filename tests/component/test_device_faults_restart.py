"""A miner that restarts on our command is silent for a while: no alarm during the first minute."""

import pytest
from fakes import wait_until

from simulator import Timings

# The miner stays off until the test powers it on.
LONG_BOOT = Timings(boot=300.0, before_restart=0.01, mining=0.0, queue=0.01, cooling=0.5, resume=0.1)
POOL = {"stratumURL": "pool.example", "stratumPort": 3333, "stratumUser": "bc1q.x"}


@pytest.fixture
def restart_testbed(testbed):
    """A miner that has been up for a while and has no write queue, and another miner."""

    def build(**settings):
        service, (miner, other) = testbed("2.10", "2.12", poll_interval=5.0, timings=LONG_BOOT, **settings)
        service.clock.advance(100)
        service.run_polls(2)
        return service, miner, other

    return build


def restart_by_command(service, miner):
    service.read_data(service.client.post(f"/devices/{miner.mac}/system/restart"))
    wait_until(lambda: not miner.powered)


def restart_by_write(service, miner):
    service.read_data(service.client.patch(f"/devices/{miner.mac}/system", json={"info": POOL, "restart": True}))
    wait_until(lambda: not miner.powered)


def restart_by_job(service, miner):
    body = {"action": "restart", "devices": [miner.mac], "waves": [], "pauseSeconds": 0}
    assert service.client.post("/jobs", json=body).status_code == 202
    wait_until(lambda: not miner.powered)


def crash_during_write(service, miner):
    """The miner crashes during a PATCH: the connection ends without an answer."""
    miner.set_fault("reset", method="PATCH")
    response = service.client.patch(f"/devices/{miner.mac}/system", json={"info": {"frequency": 550}})
    assert response.status_code in (200, 502)
    miner.power_off()
    miner.clear_fault()


RESTARTS = [restart_by_command, restart_by_write, restart_by_job, crash_during_write]


def list_status_messages(caplog):
    return [record.getMessage() for record in caplog.records if record.getMessage() in ("miner lost", "miner is back")]


@pytest.mark.parametrize("restart", RESTARTS)
def test_silence_of_twenty_seconds_after_restart_is_no_alarm(restart_testbed, restart, caplog):
    service, miner, other = restart_testbed()
    polls = service.count_observations(other.mac)
    restart(service, miner)
    for _ in range(4):
        service.run_polls()
        device = service.get_device(miner.mac)
        assert (device["status"], device["tracing"], device["stale"]) == ("restarting", True, False)
        assert service.scrape_metrics().get_device_values(miner.mac)["up"] == 1
    miner.power_on()
    service.run_polls()
    assert service.get_status(miner.mac) == "online"
    assert ("DeviceFailed", miner.mac) not in service.events
    assert list_status_messages(caplog) == []
    assert service.scrape_metrics().get_value("pluto_device_restarts_total", mac=miner.mac) == 1
    assert service.count_observations(other.mac) >= polls + 5


@pytest.mark.parametrize("restart", RESTARTS)
def test_miner_not_back_within_a_minute_goes_offline(restart_testbed, restart, caplog):
    service, miner, _ = restart_testbed()
    restart(service, miner)
    service.run_polls(11)
    assert service.get_status(miner.mac) == "restarting"
    assert list_status_messages(caplog) == []
    service.run_polls(3)
    assert service.get_status(miner.mac) == "offline"
    assert service.scrape_metrics().get_device_values(miner.mac)["up"] == 0
    assert list_status_messages(caplog) == ["miner lost"]
    assert ("DeviceFailed", miner.mac) in service.events


def test_miner_that_fails_without_restart_command_goes_offline(restart_testbed, caplog):
    service, miner, _ = restart_testbed()
    miner.power_off()
    service.run_polls(2)
    assert service.get_status(miner.mac) == "stale"
    service.run_polls(2)
    assert service.get_status(miner.mac) == "offline"
    assert list_status_messages(caplog) == ["miner lost"]


def test_miner_that_fails_after_its_restart_goes_offline(restart_testbed):
    service, miner, _ = restart_testbed()
    restart_by_command(service, miner)
    service.run_polls()
    miner.power_on()
    service.run_polls()
    miner.power_off()
    service.run_polls(4)
    assert service.get_status(miner.mac) == "offline"


def test_offline_miner_stays_offline_after_restart_command(restart_testbed):
    """The miner answered the command, but no poll yet."""
    service, miner, _ = restart_testbed()
    miner.power_off()
    service.run_polls(5)
    miner.power_on()
    restart_by_command(service, miner)
    service.run_polls()
    assert service.get_status(miner.mac) == "offline"


@pytest.mark.parametrize("fault", [["other_mac"], ["status_500"]])
def test_refused_restart_command_does_not_change_status(restart_testbed, fault):
    service, miner, _ = restart_testbed()
    miner.set_fault(*fault, **({"method": "POST"} if fault == ["status_500"] else {}))
    assert service.client.post(f"/devices/{miner.mac}/system/restart").status_code in (409, 502)
    miner.clear_fault()
    miner.power_off()
    service.run_polls(4)
    assert service.get_status(miner.mac) == "offline"
