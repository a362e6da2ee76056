"""Recorded bodies served to the running service: registered, polled and exported with the right numbers and units.

The bodies of tests/fixtures were constructed from the firmware's own serialiser; the expected numbers were written here
by hand.
"""

from pathlib import Path

import orjson
import pytest

FIXTURES = Path(__file__).parent.parent / "fixtures"
NEWEST = "bitaxe-gamma-601-v2.15.0"

EXPECTED = {
    NEWEST: {
        "power_watts": 18.7522583,
        "voltage_volts": 5.09375,
        "current_amps": 12.015625,
        "temperature_celsius": 60.125,
        "temperature2_celsius": None,
        "vr_temperature_celsius": 62,
        "hashrate_ghs": 1072.2407227,
        "hashrate_1m_ghs": 1088.9354248,
        "expected_hashrate_ghs": 1071,
        "error_percent": 0.1320001,
        "fan_percent": 48.4200668,
        "fanspeed_rpm": 3915,
        "fan2_speed_rpm": 0,
        "frequency_mhz": 525,
        "actual_frequency_mhz": 525,
        "core_voltage_volts": 1.15,
        "core_voltage_actual_volts": 1.144,
        "best_difficulty": 49224525,
        "best_session_difficulty": 2038368,
        "pool_difficulty": 1000,
        "pool_response_seconds": 0.0382,
        "shares_accepted": 4768,
        "shares_rejected": 13,
        "uptime_seconds": 18574,
        "free_heap_bytes": 8012345,
        "free_heap_internal_bytes": 98231,
        "wifi_rssi_dbm": -44,
        "cpu_percent": 14.2,
        "mining_paused": 0,
        "overheat": 0,
        "power_fault": 0,
        "hardware_fault": 0,
        "using_fallback_pool": 0,
        "blocks_found": 0,
        "max_power_watts": 40,
        "target_temperature_celsius": 60,
    },
    "bitaxe-ultra-204-v2.4.5": {
        "power_watts": 12.61400032043457,
        "voltage_volts": 5.1075,
        "current_amps": 2.46375,
        "temperature_celsius": 57.5,
        "vr_temperature_celsius": None,
        "hashrate_ghs": 489.93481217283636,
        "best_difficulty": 568e6,
        "best_session_difficulty": 4.21e6,
        "pool_difficulty": 2048,
        "fanspeed_rpm": 4032,
        "fan_percent": 54,
        "frequency_mhz": 485,
        "core_voltage_volts": 1.2,
        "core_voltage_actual_volts": 1.189,
        "shares_accepted": 8123,
        "uptime_seconds": 123456,
        "free_heap_bytes": 171520,
        "wifi_rssi_dbm": None,
        "expected_hashrate_ghs": None,
        "mining_paused": None,
        "power_fault": None,
        "temperature2_celsius": None,
    },
    "nerdqaxeplus-v1.0.30": {
        "power_watts": 62.5,
        "voltage_volts": 12.03125,
        "current_amps": 5.1953125,
        "temperature_celsius": 57.125,
        "vr_temperature_celsius": 63.4375,
        "hashrate_ghs": 2493.551,
        "best_difficulty": 1.93e9,
        "best_session_difficulty": 45.6e6,
        "pool_difficulty": 4096,
        "pool_response_seconds": 0.024,
        "fanspeed_rpm": 3210,
        "fan_percent": 72,
        "target_temperature_celsius": 55,
        "frequency_mhz": 490,
        "core_voltage_volts": 1.25,
        "shares_accepted": 10234,
        "using_fallback_pool": 0,
        "max_power_watts": 70,
    },
    # A hashrate of -1, numbers as text, null, "" and 0 for missing sensors: each invalidates only its own field.
    "hostile-types": {
        "power_watts": 30.587522506713867,
        "hashrate_ghs": None,
        "efficiency": None,
        "expected_hashrate_ghs": 1632,
        "frequency_mhz": 800,
        "shares_accepted": 14,
        "shares_rejected": 0,
        "best_difficulty": 0,
        "best_session_difficulty": None,
        "fanspeed_rpm": None,
        "fan_percent": 78,
        "temperature2_celsius": None,
        "using_fallback_pool": 1,
        "wifi_rssi_dbm": -69,
        "uptime_seconds": 132,
        "vr_temperature_celsius": 68,
    },
}


def load_body(name):
    return (FIXTURES / f"{name}.constructed.json").read_bytes()


def change_body(**fields):
    """Return the newest body with some fields changed; `...` removes a field."""
    answer = orjson.loads(load_body(NEWEST)) | fields
    return orjson.dumps({key: value for key, value in answer.items() if value is not ...})


def read_mac(raw):
    digits = orjson.loads(raw)["macAddr"].replace(":", "").lower()
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


@pytest.fixture
def testbed(make_fleet, make_service, clock):
    def build(*bodies):
        fleet = make_fleet(*({"body": each, "mac": read_mac(each)} for each in bodies), clock=clock.monotonic)
        service = make_service(fleet, clock=clock)
        service.imprint_miners(*fleet)
        service.run_polls(2)
        return service, fleet

    return build


@pytest.mark.parametrize("name", EXPECTED)
def test_recorded_body_is_exported_with_right_numbers_and_units(testbed, name):
    raw, expected = load_body(name), EXPECTED[name]
    service, (miner,) = testbed(raw)
    exported = service.scrape_metrics().get_device_values(miner.mac)
    assert service.get_status(miner.mac) == "online"
    assert {key: exported.get(key) for key in expected} == pytest.approx(expected)
    assert service.get_device(miner.mac)["info"]["hostname"] == orjson.loads(raw)["hostname"]


@pytest.mark.parametrize("name", EXPECTED)
def test_unknown_fields_are_kept_and_secrets_removed(testbed, name):
    service, (miner,) = testbed(load_body(name))
    info, answer = service.get_device(miner.mac)["info"], orjson.loads(load_body(name))
    shown = {key for key, value in answer.items() if value != ""} - {"power", "stratumUser", "pools"}
    assert {key: info[key] for key in shown} == {key: answer[key] for key in shown}
    assert "" not in [value for key, value in info.items() if key != "stratumUser"]
    assert "*****" not in str(info)


def test_totals_of_fleet_with_all_recorded_bodies(testbed):
    service, _ = testbed(*map(load_body, EXPECTED))
    scrape = service.scrape_metrics()
    assert [scrape.get_value("total_hardware"), scrape.get_value("hardware_online")] == [4, 4]
    rates = [EXPECTED[name]["hashrate_ghs"] or 0 for name in EXPECTED]
    assert scrape.get_value("total_hashrate") == pytest.approx(sum(rates))
    assert scrape.get_value("average_hashrate") == pytest.approx(sum(rates) / 4)


@pytest.mark.parametrize(
    ("field", "value", "suffix", "expected"),
    [
        ("hashRate", 0, "hashrate_ghs", 0),
        ("hashRate", ..., "hashrate_ghs", 1072.3271484),  # its hashRate_10m
        ("hashRate", None, "hashrate_ghs", 1072.3271484),
        ("power", 0, "power_watts", None),  # it hashes, so this is a board without a power sensor
        ("power", ..., "power_watts", None),
        ("sharesAccepted", 0, "shares_accepted", 0),
        ("sharesAccepted", ..., "shares_accepted", None),
        ("fanrpm", 0, "fanspeed_rpm", 0),
        ("fanrpm", None, "fanspeed_rpm", None),
        ("temp", -1, "temperature_celsius", None),
        ("temp", 0, "temperature_celsius", None),  # it hashes, so the sensor failed
        ("wifiRSSI", -90, "wifi_rssi_dbm", None),
        ("power_fault", "Power stage fault", "power_fault", 1),
        ("hardware_fault", "Fan Control Failed (1)", "hardware_fault", 1),
    ],
)
def test_zero_is_exported_and_absent_field_is_not(testbed, field, value, suffix, expected):
    """Defect 45: zeros were skipped, so a stopped miner kept its last hashrate. An absent field must not become 0
    either."""
    service, (miner,) = testbed(change_body(**{field: value}))
    scrape = service.scrape_metrics()
    assert scrape.get_device_values(miner.mac).get(suffix) == expected
    if suffix in ("hashrate_ghs", "power_watts", "shares_accepted", "fanspeed_rpm", "temperature_celsius"):
        assert scrape.get_value(f"bitaxe_{suffix}") == expected


@pytest.mark.parametrize(("power", "user"), [(None, None), (..., ...), ("", 5), ({}, [])])
def test_info_always_contains_power_and_stratum_user(testbed, power, user):
    """The frontend calls `power.toFixed` and `stratumUser.indexOf` without a guard."""
    service, (miner,) = testbed(change_body(power=power, stratumUser=user))
    info = service.get_device(miner.mac)["info"]
    assert (info["power"], info["stratumUser"]) == (0, "")


def test_last_known_power_and_stratum_user_are_kept(testbed):
    service, (miner,) = testbed(change_body())
    miner.fault = "null"
    service.run_polls()
    info = service.get_device(miner.mac)["info"]
    assert (info["power"], info["stratumUser"][:6]) == (18.7522583, "bc1qfa")


def test_shares_are_counted_for_fallback_pool_while_in_use(testbed):
    service, _ = testbed(change_body(isUsingFallbackStratum=1))
    assert service.scrape_metrics().list_labels("shares_by_pool_accepted") == [{"pool": "CKPool Main"}]
