"""Every simulated fault of one miner: other miners are polled on time, the service stays healthy, and the last values
are kept."""

import pytest
from fakes import assert_no_leaks, count_open_files, wait_until

from simulator import FAULTS

# Fault → the reason label of the failure metric.
FAILURE_REASONS = {
    "refuse": "unreachable",
    "hang": "deadline",
    "drip": "deadline",
    "slow": "deadline",
    "reset": "dropped",
    "short": "dropped",
    "huge": "too_large",
    "gzip_bomb": "bad_payload",
    "garbage": "bad_payload",
    "not_http": "bad_payload",
    "html": "bad_payload",
    "status_401": "refused",
    "status_401_login": "locked",
    "status_400": "status",
    "status_500": "status",
    "redirect": "redirect",
    "other_mac": "wrong_miner",
    "no_mac": "wrong_miner",
}
FAULTS_THAT_STAY_ONLINE = (
    *("null", "wrong_types", "hostname", "overheat", "power_fault", "pools_down", "dead_domain", "false_hashrate"),
)


def test_every_simulator_fault_is_covered():
    assert FAULTS.keys() == {*FAILURE_REASONS, *FAULTS_THAT_STAY_ONLINE}


@pytest.fixture
def make_testbed(make_fleet, make_service, clock):
    def make(**settings):
        fleet = make_fleet("2.12", "2.15", "2.4", "nerd", "2.10", "2.12", clock=clock.monotonic)
        service = make_service(fleet, clock=clock, **{"poll_interval": 0.5, **settings})
        service.imprint_miners(*fleet)
        service.run_polls(2)
        return service, fleet

    return make


@pytest.fixture
def testbed(make_testbed):
    return make_testbed()


def poll_healthy_once(service, healthy):
    """Wait until each healthy miner answered once more, however long the others take."""
    before = [service.count_observations(miner.mac) for miner in healthy]
    service.clock.advance(service.settings.poll_interval)
    wait_until(
        lambda: all(service.count_observations(miner.mac) > was for miner, was in zip(healthy, before, strict=True))
    )


def count_failures(service, miner):
    return service.runtime.fleet.get_device(miner.mac).observation.failures


@pytest.mark.parametrize("fault", FAILURE_REASONS)
def test_failed_miner_keeps_last_values_and_others_are_polled_on_time(testbed, fault):
    """Includes defects 13, 29 and 48 of the Node backend: no deadline, and a wrong type that made a healthy miner
    offline."""
    service, (victim, *healthy) = testbed
    info = service.get_device(victim.mac)["info"]
    victim.fault = fault
    failures_until_offline = 1 if fault.startswith("status_401") else 3
    wait_until(
        lambda: poll_healthy_once(service, healthy) or count_failures(service, victim) >= failures_until_offline, 15
    )
    device, scrape = service.get_device(victim.mac), service.scrape_metrics()
    assert device["status"] == {"refused": "refused", "locked": "locked"}.get(FAILURE_REASONS[fault], "offline")
    assert device["error"]
    assert device["info"] == info
    assert scrape.get_value("pluto_poll_failures_total", reason=FAILURE_REASONS[fault]) >= failures_until_offline
    assert scrape.get_device_values(victim.mac) == {"up": 0}
    assert [service.client.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]
    victim.clear_fault()
    service.clock.advance(60)
    service.run_polls(2)
    assert wait_until(lambda: service.get_status(victim.mac) == "online")


@pytest.mark.parametrize("fault", FAULTS_THAT_STAY_ONLINE)
def test_miner_with_unusual_values_stays_online(testbed, fault):
    service, (victim, *healthy) = testbed
    victim.fault = fault
    for _ in range(3):
        poll_healthy_once(service, healthy)
        service.wait_until_idle()
    assert service.get_status(victim.mac) == "online"
    assert service.scrape_metrics().get_device_values(victim.mac)["up"] == 1


@pytest.mark.parametrize("fault", ["hang", "drip", "slow", "huge"])
def test_stuck_poll_does_not_delay_others(make_testbed, fault):
    """The stuck poll has 4 s; meanwhile the other miners are polled many times."""
    service, (victim, *healthy) = make_testbed(poll_interval=5.0)
    victim.set_fault(fault, **({"rate": 10_000} if fault == "huge" else {}))
    for _ in range(10):
        poll_healthy_once(service, healthy)
    assert count_failures(service, victim) == 0
    assert victim.max_in_flight == 1


def test_redirect_is_not_followed(testbed, make_fleet):
    service, fleet = testbed
    (canary,) = make_fleet("2.12", first=20)
    fleet[0].set_fault("redirect", location=f"http://{canary.address}/api/system/info")
    service.run_polls(4)
    assert canary.requests.total() == 0


def test_null_fields_are_absent_and_not_zero(testbed):
    service, fleet = testbed
    fleet[0].fault = "null"
    service.run_polls()
    exported = service.scrape_metrics().get_device_values(fleet[0].mac)
    nested = {"asic_hashrate_ghs", "asic_errors_total"}  # the fault changes the members of the answer, not theirs
    assert exported.keys() - {"power_fault", "hardware_fault"} - nested == {
        *("up", "info", "restarts_total", "implausible_hashrates_total")
    }
    device = service.get_device(fleet[0].mac)
    assert isinstance(device["info"]["power"], (int, float))
    assert device["info"]["power"] > 0


def test_field_of_wrong_type_loses_only_that_field(testbed):
    service, fleet = testbed
    fleet[1].fault = "wrong_types"
    service.run_polls()
    scrape = service.scrape_metrics()
    assert scrape.get_device_values(fleet[1].mac)["up"] == 1
    assert service.get_device(fleet[1].mac)["info"]["power"] is not None
    assert all(
        value >= 0
        for name, value in scrape.get_device_values(fleet[1].mac).items()
        if "rssi" not in name and "temperature" not in name
    )


def test_miner_that_stops_hashing_exports_hashrate_zero(testbed):
    """Defect 45: the Node backend skipped 0, so the last hashrate was kept while nothing was mined."""
    service, fleet = testbed
    miner = fleet[1]
    miner.fault = "pools_down"
    service.run_polls()
    exported = service.scrape_metrics().get_device_values(miner.mac)
    assert miner.read_info()["hashRate"] == 0
    assert exported["hashrate_ghs"] == 0
    assert "efficiency" not in exported
    assert "temperature_celsius" not in exported
    assert service.scrape_metrics().get_value("miner__2_hashrate_ghs") == 0


def test_hundred_failed_polls_leak_no_file(testbed):
    service, fleet = testbed
    fleet[0].fault, fleet[1].fault, fleet[2].fault = "reset", "not_http", "refuse"
    service.run_polls(13)
    with assert_no_leaks(files=2):
        service.run_polls(100)
    assert count_open_files() < 200
