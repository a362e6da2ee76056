"""Online, stale, offline, locked, refused: what the polls of a miner say about it, and how often it is asked."""

import pytest
from fakes import eventually

from app.events import MinerSeen


def lines_about(caplog, *messages):
    return [record.getMessage() for record in caplog.records if record.getMessage() in messages]


def test_three_misses_make_a_miner_offline_and_one_answer_brings_it_back(testbed, caplog):
    """Defects 19 and 29: the original kept no offline state, and a half-open miner stayed online for ever."""
    service, (miner,) = testbed("2.12")
    before = service.device(miner.mac)["info"]
    miner.fault = "refuse"
    seen = []
    for _ in range(5):
        service.round()
        device = service.device(miner.mac)
        seen.append((device["status"], device["tracing"], device["stale"]))
    assert seen == [("stale", True, True)] * 2 + [("offline", False, False)] * 3
    assert device["info"] == before
    assert "cannot be reached" in device["error"]
    assert service.events.count(("DeviceFailed", miner.mac)) == 3
    miner.clear_fault()
    service.round()
    device = service.device(miner.mac)
    assert (device["status"], device["tracing"], "error" in device) == ("online", True, False)
    assert lines_about(caplog, "miner lost", "miner is back") == ["miner lost", "miner is back"]


def test_one_line_at_loss_however_long_it_lasts(testbed, caplog):
    service, (miner,) = testbed("2.12")
    miner.fault = "refuse"
    service.round(40)
    (lost,) = [record for record in caplog.records if record.getMessage() == "miner lost"]
    assert (lost.mac, lost.reason, lost.status, lost.levelname) == (miner.mac, "unreachable", "offline", "WARNING")
    miner.clear_fault()
    service.round(200)
    assert lines_about(caplog, "miner is back") == ["miner is back"]


def test_misses_that_are_few_are_not_worth_a_line_or_an_event(testbed, caplog):
    """Users of other tools were flooded by false alarms after single lost packets."""
    service, (miner,) = testbed("2.12")
    for _ in range(4):
        miner.fault = "status_500"
        service.round(2)
        miner.clear_fault()
        service.round(1)
    assert not lines_about(caplog, "miner lost", "miner is back")
    assert ("DeviceFailed", miner.mac) not in service.events


def test_a_stale_miner_keeps_its_series_an_offline_one_only_up(testbed):
    """Defect 46: the original counted the last numbers of dead miners in its totals."""
    service, (miner, other) = testbed("2.12", "2.12")
    miner.fault = "refuse"
    service.round(2)
    stale = service.scrape()
    assert stale.of_device(miner.mac)["up"] == 1
    assert "power_watts" in stale.of_device(miner.mac)
    service.round(2)
    offline = service.scrape()
    assert offline.of_device(miner.mac) == {"up": 0}
    assert not [name for name in offline.names() if name.startswith("miner__1_")]
    assert (offline.get_one("hardware_online"), offline.get_one("hardware_offline")) == (1, 1)
    assert offline.get_one("total_hashrate") == offline.get_one("average_hashrate") == other.read_info()["hashRate"]
    assert offline.get_one("total_power_watts") == other.read_info()["power"]


@pytest.mark.parametrize(
    ("fault", "status", "words"), [("status_401", "refused", "address"), ("status_401_login", "locked", "login")]
)
def test_a_401_is_a_state_of_its_own_asked_once_a_minute(testbed, fault, status, words, caplog):
    service, (miner,) = testbed("2.12", poll_interval=5.0)
    miner.fault = fault
    service.round()
    device = service.device(miner.mac)
    assert (device["status"], device["tracing"]) == (status, False)
    assert words in device["error"]
    asked = miner.requests["GET", "/api/system/info"]
    service.round(24)
    assert miner.requests["GET", "/api/system/info"] - asked == 2
    miner.clear_fault()
    service.round(12)
    assert service.status(miner.mac) == "online"
    assert lines_about(caplog, "miner lost", "miner is back") == ["miner lost", "miner is back"]


def test_a_long_dead_miner_is_asked_ever_less_often(testbed):
    """Defect 30: the original asked dead devices every 5 s for ever."""
    service, (miner,) = testbed("2.12", poll_interval=5.0)
    miner.power_off()
    misses = lambda: service.runtime.fleet.get(miner.mac).observation.failures  # noqa: E731
    service.round(12)
    assert misses() == 12
    service.round(60)
    assert misses() < 25
    late = misses()
    service.round(120)
    assert 7 <= misses() - late <= 14


@pytest.mark.parametrize("how", ["sighting", "scan"])
def test_a_long_dead_miner_that_discovery_sees_is_asked_within_five_seconds(testbed, how):
    service, (miner,) = testbed("2.12", poll_interval=5.0)
    miner.power_off()
    service.round(60)
    miner.power_on()
    if how == "sighting":
        service.runtime.events.publish(MinerSeen(miner.mac, miner.address))
    else:
        service.ok(service.client.get("/devices/discover"))
    service.round()
    assert service.status(miner.mac) == "online"


def test_a_reboot_is_counted_and_the_options_are_asked_again(testbed):
    service, (miner,) = testbed("2.12")
    service.clock.advance(100)
    service.round()
    assert service.scrape().get_one("pluto_device_restarts_total", mac=miner.mac) == 0
    miner.restart()
    eventually(lambda: not miner.powered)
    eventually(lambda: miner.powered)
    service.round()
    assert service.scrape().get_one("pluto_device_restarts_total", mac=miner.mac) == 1
    assert miner.requests["GET", "/api/system/asic"] == 2
    service.round(3)
    assert service.scrape().get_one("pluto_device_restarts_total", mac=miner.mac) == 1


def test_a_miner_that_is_new_is_pending_not_offline(testbed):
    service, (miner,) = testbed("2.12", rounds=0)
    device = service.device(miner.mac)
    assert (device["status"], device["tracing"], device["info"]["power"], device["info"]["stratumUser"]) == (
        "pending",
        False,
        0,
        "",
    )
    assert service.scrape().of_device(miner.mac) == {"up": 0}


def test_offline_after_failures_is_the_users_to_set(testbed):
    service, (miner,) = testbed("2.12", offline_after_failures=1)
    miner.fault = "refuse"
    service.round()
    assert service.status(miner.mac) == "offline"


def test_an_overheated_miner_is_online_and_says_so(testbed):
    """It answers, with no hashrate; its temperature is -1, which is no temperature."""
    service, (miner,) = testbed("2.7")
    miner.fault = "overheat"
    service.round()
    eventually(lambda: miner.powered)
    service.round(2)
    truth, exported = miner.read_info(), service.scrape().of_device(miner.mac)
    assert exported["up"] == 1
    assert exported["overheat"] == truth["overheat_mode"] == 1
    assert exported["frequency_mhz"] == truth["frequency"]


def test_a_power_fault_appears_and_disappears(testbed):
    """The key is there only while the fault lasts."""
    service, (miner,) = testbed("2.12")
    assert service.scrape().of_device(miner.mac)["power_fault"] == 0
    miner.fault = "power_fault"
    service.round()
    assert service.scrape().of_device(miner.mac)["power_fault"] == 1
    miner.clear_fault()
    service.round()
    assert service.scrape().of_device(miner.mac)["power_fault"] == 0
