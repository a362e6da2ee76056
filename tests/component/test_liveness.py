"""The status of a miner (online, stale, offline, locked, refused) after its polls, and the polling interval of each."""

import pytest
from fakes import wait_until

from app.events import MinerSeen


def list_messages(caplog, *messages):
    return [record.getMessage() for record in caplog.records if record.getMessage() in messages]


def test_three_failed_polls_make_miner_offline_and_one_answer_online(testbed, caplog):
    """Defects 19 and 29: the Node backend had no offline status, and a half-open miner stayed online for ever."""
    service, (miner,) = testbed("2.12")
    before = service.get_device(miner.mac)["info"]
    miner.fault = "refuse"
    seen = []
    for _ in range(5):
        service.run_polls()
        device = service.get_device(miner.mac)
        seen.append((device["status"], device["tracing"], device["stale"]))
    assert seen == [("stale", True, True)] * 2 + [("offline", False, False)] * 3
    assert device["info"] == before
    assert "cannot be reached" in device["error"]
    assert service.events.count(("DeviceFailed", miner.mac)) == 3
    miner.clear_fault()
    service.run_polls()
    device = service.get_device(miner.mac)
    assert (device["status"], device["tracing"], "error" in device) == ("online", True, False)
    assert list_messages(caplog, "miner lost", "miner is back") == ["miner lost", "miner is back"]


def test_outage_is_logged_once(testbed, caplog):
    service, (miner,) = testbed("2.12")
    miner.fault = "refuse"
    service.run_polls(40)
    (record,) = [record for record in caplog.records if record.getMessage() == "miner lost"]
    assert (record.mac, record.reason, record.status, record.levelname) == (
        miner.mac,
        "unreachable",
        "offline",
        "WARNING",
    )
    miner.clear_fault()
    service.run_polls(200)
    assert list_messages(caplog, "miner is back") == ["miner is back"]


def test_few_failed_polls_cause_no_log_line_and_no_event(testbed, caplog):
    """Users of other tools were flooded by false alarms after single lost packets."""
    service, (miner,) = testbed("2.12")
    for _ in range(4):
        miner.fault = "status_500"
        service.run_polls(2)
        miner.clear_fault()
        service.run_polls(1)
    assert not list_messages(caplog, "miner lost", "miner is back")
    assert ("DeviceFailed", miner.mac) not in service.events


def test_stale_miner_keeps_its_series_and_offline_miner_only_up(testbed):
    """Defect 46: the Node backend counted the last values of offline miners in its totals."""
    service, (miner, other) = testbed("2.12", "2.12")
    miner.fault = "refuse"
    service.run_polls(2)
    stale = service.scrape_metrics()
    assert stale.get_device_values(miner.mac)["up"] == 1
    assert "power_watts" in stale.get_device_values(miner.mac)
    service.run_polls(2)
    offline = service.scrape_metrics()
    assert offline.get_device_values(miner.mac) == {"up": 0}
    assert not [name for name in offline.list_names() if name.startswith("miner__1_")]
    assert (offline.get_value("hardware_online"), offline.get_value("hardware_offline")) == (1, 1)
    assert offline.get_value("total_hashrate") == offline.get_value("average_hashrate") == other.read_info()["hashRate"]
    assert offline.get_value("total_power_watts") == other.read_info()["power"]


@pytest.mark.parametrize(
    ("fault", "status", "words"), [("status_401", "refused", "address"), ("status_401_login", "locked", "login")]
)
def test_status_401_is_its_own_status_and_polled_once_a_minute(testbed, fault, status, words, caplog):
    service, (miner,) = testbed("2.12", poll_interval=5.0)
    miner.fault = fault
    service.run_polls()
    device = service.get_device(miner.mac)
    assert (device["status"], device["tracing"]) == (status, False)
    assert words in device["error"]
    requests_before = miner.requests["GET", "/api/system/info"]
    service.run_polls(24)
    assert miner.requests["GET", "/api/system/info"] - requests_before == 2
    miner.clear_fault()
    service.run_polls(12)
    assert service.get_status(miner.mac) == "online"
    assert list_messages(caplog, "miner lost", "miner is back") == ["miner lost", "miner is back"]


def test_offline_miner_is_polled_with_backoff(testbed):
    """Defect 30: the Node backend polled offline devices every 5 s for ever."""
    service, (miner,) = testbed("2.12", poll_interval=5.0)
    miner.power_off()
    count_failures = lambda: service.runtime.fleet.get_device(miner.mac).observation.failures  # noqa: E731
    service.run_polls(12)
    assert count_failures() == 12
    service.run_polls(60)
    assert count_failures() < 25
    before = count_failures()
    service.run_polls(120)
    assert 7 <= count_failures() - before <= 14


@pytest.mark.parametrize("trigger", ["sighting", "scan"])
def test_offline_miner_seen_by_discovery_is_polled_within_five_seconds(testbed, trigger):
    service, (miner,) = testbed("2.12", poll_interval=5.0)
    miner.power_off()
    service.run_polls(60)
    miner.power_on()
    if trigger == "sighting":
        service.runtime.events.publish(MinerSeen(miner.mac, miner.address))
    else:
        service.read_data(service.client.get("/devices/discover"))
    service.run_polls()
    assert service.get_status(miner.mac) == "online"


def test_reboot_is_counted_and_options_are_read_again(testbed):
    service, (miner,) = testbed("2.12")
    service.clock.advance(100)
    service.run_polls()
    assert service.scrape_metrics().get_value("pluto_device_restarts_total", mac=miner.mac) == 0
    miner.restart()
    wait_until(lambda: not miner.powered)
    wait_until(lambda: miner.powered)
    service.run_polls()
    assert service.scrape_metrics().get_value("pluto_device_restarts_total", mac=miner.mac) == 1
    assert miner.requests["GET", "/api/system/asic"] == 2
    service.run_polls(3)
    assert service.scrape_metrics().get_value("pluto_device_restarts_total", mac=miner.mac) == 1


def test_new_miner_is_pending_and_not_offline(testbed):
    service, (miner,) = testbed("2.12", rounds=0)
    device = service.get_device(miner.mac)
    assert (device["status"], device["tracing"], device["info"]["power"], device["info"]["stratumUser"]) == (
        "pending",
        False,
        0,
        "",
    )
    assert service.scrape_metrics().get_device_values(miner.mac) == {"up": 0}


def test_offline_after_failures_setting(testbed):
    service, (miner,) = testbed("2.12", offline_after_failures=1)
    miner.fault = "refuse"
    service.run_polls()
    assert service.get_status(miner.mac) == "offline"


def test_overheated_miner_is_online_and_reports_overheat(testbed):
    """The miner answers without a hashrate; its temperature is -1, which is not exported."""
    service, (miner,) = testbed("2.7")
    miner.fault = "overheat"
    service.run_polls()
    wait_until(lambda: miner.powered)
    service.run_polls(2)
    answer, exported = miner.read_info(), service.scrape_metrics().get_device_values(miner.mac)
    assert exported["up"] == 1
    assert exported["overheat"] == answer["overheat_mode"] == 1
    assert exported["frequency_mhz"] == answer["frequency"]


def test_power_fault_is_exported_while_it_lasts(testbed):
    """The firmware sends the key only while the fault lasts."""
    service, (miner,) = testbed("2.12")
    assert service.scrape_metrics().get_device_values(miner.mac)["power_fault"] == 0
    miner.fault = "power_fault"
    service.run_polls()
    assert service.scrape_metrics().get_device_values(miner.mac)["power_fault"] == 1
    miner.clear_fault()
    service.run_polls()
    assert service.scrape_metrics().get_device_values(miner.mac)["power_fault"] == 0
