"""One model of a miner's measurements, whatever the firmware's field names and its notations of "unknown"."""

import json
import math

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.miners.measures import MEASURED_FIELDS, MEASURES
from app.miners.pools import find_pool_in_use, list_pool_shares
from app.miners.telemetry import read_telemetry
from app.miners.totals import compute_output
from app.miners.values import parse_number

GAMMA = {"ASICModel": "BM1370", "boardVersion": "601", "version": "v2.12.2"}
TURBO = GAMMA | {"boardVersion": "801"}


@pytest.mark.parametrize(
    ("answer", "suffix", "expected"),
    [
        # values that stand for a missing reading
        ({"temp": -1}, "temperature_celsius", None),
        ({"temp": -1.0}, "temperature_celsius", None),
        ({"temp": 0}, "temperature_celsius", 0),
        ({"temp": 0, "hashRate": 500}, "temperature_celsius", None),
        ({"temp": 0, "hashRate_10m": 500}, "temperature_celsius", None),
        ({"temp": 0, "hashRate": 500, "miningPaused": True}, "temperature_celsius", 0),
        ({"temp": 0, "deviceModel": "NerdAxe"}, "temperature_celsius", None),
        ({"temp": "-128.0"}, "temperature_celsius", None),
        ({"temp": 127}, "temperature_celsius", None),
        ({"temp": 127.5}, "temperature_celsius", None),
        ({"temp": 127.875}, "temperature_celsius", None),
        ({"temp": 126.875}, "temperature_celsius", 126.875),
        ({"temp": None}, "temperature_celsius", None),
        ({"temp2": -128}, "temperature2_celsius", None),
        ({"vrTemp": -128}, "vr_temperature_celsius", None),
        ({"chiptemp1": 51, "chiptemp2": 54}, "temperature1_celsius", 51),
        ({"chiptemp1": 51, "chiptemp2": 54}, "temperature2_celsius", 54),
        ({"chiptemp1": -128}, "temperature1_celsius", None),
        (TURBO | {"temp2": 0, "hashRate": 500}, "temperature2_celsius", None),
        ({"wifiRSSI": -128.0}, "wifi_rssi_dbm", None),
        ({"wifiRSSI": 0}, "wifi_rssi_dbm", None),
        ({"wifiRSSI": "-128"}, "wifi_rssi_dbm", None),
        ({"power": 0, "hashRate": 500}, "power_watts", None),
        ({"power": "0", "hashRate_10m": 500, "miningPaused": False}, "power_watts", None),
        ({"power": 0, "hashRate": 0}, "power_watts", 0),
        ({"power": 0, "hashRate": 500, "miningPaused": 1}, "power_watts", 0),
        ({"voltage": 0, "hashRate": 500}, "voltage_volts", None),
        ({"voltage": 0, "miningPaused": True}, "voltage_volts", 0),
        ({"current": 0, "hashRate": 500}, "current_amps", 0),
        ({"fanrpm": 0, "hashRate": 500}, "fanspeed_rpm", 0),
        ({"hashRate_10m": 4800}, "hashrate_ghs", 4800),
        ({"hashRate": None, "hashRate_10m": 4800}, "hashrate_ghs", 4800),
        ({"hashRate": 0, "hashRate_10m": 4800}, "hashrate_ghs", 0),
        ({"fanSpeed": 66, "fanrpm": 4100}, "fan_percent", 66),
        ({"fanSpeed": 66, "manualFanSpeed": 66}, "fan_percent", 66),
        ({"fanSpeed": 66, "manualFanSpeed": 66}, "fanspeed_rpm", None),
        ({"fanspeed2": 40}, "fan2_percent", 40),
        ({"hashRate_1d": 2748.9}, "hashrate_1d_ghs", 2748.9),
        ({"freeHeapInt": 148248}, "free_heap_internal_bytes", 148248),
        ({"freeHeapSpiram": 8094068}, "free_heap_spiram_bytes", 8094068),
        ({"stratum_difficulty": 512}, "pool_difficulty", 512),
        ({"shutdown": True}, "shutdown", 1),
        ({"shutdown": False}, "shutdown", 0),
        ({"poolConnectionInfo": "IPv4"}, "pool_connected", 1),
        ({"poolConnectionInfo": "IPv6 (TLS)"}, "pool_connected", 1),
        ({"poolConnectionInfo": "Not Connected"}, "pool_connected", 0),
        ({"poolConnectionInfo": "SV2: Pool unreachable"}, "pool_connected", 0),
        ({"poolConnectionInfo": "?"}, "pool_connected", None),
        ({"poolConnectionInfo": None}, "pool_connected", None),
        ({"isStratumConnected": False}, "pool_connected", 0),
        ({"isStratumConnected": 1}, "pool_connected", 1),
        ({"stratum": {"pools": [{"connected": False}, {"connected": True}]}}, "pool_connected", 0),
        ({"stratum": {"usingFallback": True, "pools": [{"connected": 0}, {"connected": 1}]}}, "pool_connected", 1),
        (
            {"stratum": {"activePoolMode": 1, "pools": [{"connected": True}, {"connected": False}]}},
            "pool_connected",
            0,
        ),
        ({"stratum": {"pools": "x"}}, "pool_connected", None),
        ({"temp": -5.5}, "temperature_celsius", -5.5),
        ({"temp2": -1}, "temperature2_celsius", None),
        ({"temp2": 0}, "temperature2_celsius", None),
        ({"temp2": 61.5}, "temperature2_celsius", 61.5),
        (TURBO | {"temp2": 0}, "temperature2_celsius", 0),
        (TURBO | {"temp2": -1}, "temperature2_celsius", None),
        ({"vrTemp": 0}, "vr_temperature_celsius", None),
        ({"vrTemp": -1}, "vr_temperature_celsius", None),
        ({"vrTemp": 62}, "vr_temperature_celsius", 62),
        ({"wifiRSSI": -90}, "wifi_rssi_dbm", None),
        ({"wifiRSSI": -89}, "wifi_rssi_dbm", -89),
        ({"wifiRSSI": 31}, "wifi_rssi_dbm", None),
        ({"pidTargetTemp": -1}, "target_temperature_celsius", None),
        ({"cpuUsage": -3.2}, "cpu_percent", None),
        ({"hashRate": -1}, "hashrate_ghs", None),
        ({"errorPercentage": None}, "error_percent", None),
        ({"expectedHashrate": 0}, "expected_hashrate_ghs", 0),
        # renamed fields
        ({"fanSpeed": 4000, "fanspeed": 55}, "fanspeed_rpm", 4000),
        ({"fanSpeed": 4000, "fanspeed": 55}, "fan_percent", 55),
        ({"fanSpeedRpm": 4100}, "fanspeed_rpm", 4100),
        ({"fanrpm": 4200}, "fanspeed_rpm", 4200),
        ({"fan2rpm": 100}, "fan2_speed_rpm", 100),
        ({"fanrpm2": 200}, "fan2_speed_rpm", 200),
        ({"stratumDiff": 512}, "pool_difficulty", 512),
        ({"poolDifficulty": 0.5}, "pool_difficulty", 0.5),
        ({"responseTime": 38.2}, "pool_response_seconds", 0.0382),
        ({"lastpingrtt": 24}, "pool_response_seconds", 0.024),
        ({"overheat": 1}, "overheat", 1),
        ({"overheat_mode": 0}, "overheat", 0),
        ({"foundBlocks": 1}, "blocks_found", 1),
        ({"blockFound": 2}, "blocks_found", 2),
        ({"temptarget": 60}, "target_temperature_celsius", 60),
        # booleans as 0/1 before 2.14, true/false since
        ({"miningPaused": False}, "mining_paused", 0),
        ({"miningPaused": True}, "mining_paused", 1),
        ({"miningPaused": 1}, "mining_paused", 1),
        ({"miningPaused": 7}, "mining_paused", None),
        ({"isUsingFallbackStratum": 1}, "using_fallback_pool", 1),
        ({"isUsingFallbackStratum": True}, "using_fallback_pool", 1),
        ({"stratum": {"usingFallback": True}}, "using_fallback_pool", 1),
        ({"stratum": {"usingFallback": False}}, "using_fallback_pool", 0),
        ({"stratum": "x"}, "using_fallback_pool", None),
        # keys that are present only during a fault
        ({"apEnabled": 0}, "power_fault", 0),
        ({}, "power_fault", None),
        ({"power_fault": "x"}, "power_fault", 1),
        ({"power_fault": ""}, "power_fault", None),
        ({"power_fault": "", "apEnabled": 0}, "power_fault", 0),
        ({"power_fault": False, "apEnabled": 0}, "power_fault", 0),
        ({"power_fault": "none"}, "power_fault", 0),
        ({"power_fault": " None "}, "power_fault", 0),
        ({"hardware_fault": "none"}, "hardware_fault", 0),
        ({"miningPaused": False}, "hardware_fault", 0),
        ({"hardware_fault": "Fan Control Failed"}, "hardware_fault", 1),
        # units
        ({"voltage": 5093.75}, "voltage_volts", 5.09375),
        ({"current": 12015.625}, "current_amps", 12.015625),
        ({"coreVoltage": 1150}, "core_voltage_volts", 1.15),
        ({"coreVoltageActual": 1144.5}, "core_voltage_actual_volts", 1.1445),
        ({"power": 15, "hashRate": 1000}, "efficiency", 15),
        ({"power": 15, "hashRate": 0}, "efficiency", None),
        ({"power": 0, "hashRate": 500}, "efficiency", None),
        ({"power": 15, "hashRate_10m": 1000}, "efficiency", 15),
        ({"power": 46, "hashRate": 10000, "can": {"enabled": True, "fleetPower": 184}}, "efficiency", 18.4),
        ({"power": 46, "hashRate": 10000, "can": {"enabled": True}}, "efficiency", None),
        ({"power": 46, "hashRate": 10000, "can": {"enabled": False, "fleetPower": 0}}, "efficiency", 4.6),
        ({"power": 46, "hashRate": 10000, "can": {"fleetPower": None}}, "efficiency", None),
        ({"power": 46, "hashRate": 10000, "can": "x"}, "efficiency", 4.6),
        ({"power": None, "hashRate": 500}, "efficiency", None),
        ({"hashRate": 500}, "efficiency", None),
        # numbers of other types
        ({"frequency": "606.25"}, "frequency_mhz", 606.25),
        ({"sharesAccepted": " 14 "}, "shares_accepted", 14),
        ({"power": True}, "power_watts", None),
        ({"power": "a lot"}, "power_watts", None),
        ({"power": ""}, "power_watts", None),
        ({"power": [15]}, "power_watts", None),
        ({"power": {"value": 15}}, "power_watts", None),
        ({"power": "1e999"}, "power_watts", None),
        ({"power": "NaN"}, "power_watts", None),
        ({"power": "0x10"}, "power_watts", None),
        ({"freeHeap": 1e308}, "free_heap_bytes", 1e308),
        ({"uptimeSeconds": 0}, "uptime_seconds", 0),
    ],
)
def test_value_of_one_field(answer, suffix, expected):
    value = read_telemetry(GAMMA | answer).get(suffix)
    assert value == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("text", "value"),
    [("5.56G", 5.56e9), ("193G", 193e9), ("13M", 13e6), ("1e+03k", 1e6), ("572.14M", 572.14e6), ("572.14 M", 572.14e6),
     ("123 ", 123), ("0", 0), ("4.29K", 4290),
     ("1.2T", 1.2e12), ("3P", 3e15), ("2E", 2e18), (49224525, 49224525), (5e15, 5e15), ("49224525", 49224525),
     ("1.5e+09", 1.5e9), ("", None), ("G", None),
     ("5,56G", None), ("5.56 GG", None), ("-5M", None), (-1, None), (None, None), (True, None), ("9" * 400 + "G",
     None), ("nan", None), ("inf", None)],
)  # fmt: skip
def test_difficulty_notations_of_every_firmware(text, value):
    """Defect 48: a text threw an exception, and a healthy miner was marked offline."""
    parsed = read_telemetry({"bestDiff": text, "bestSessionDiff": text})
    assert parsed.get("best_difficulty") == (None if value is None else pytest.approx(value))
    assert parsed.get("best_session_difficulty") == parsed.get("best_difficulty")


FIELDS = sorted(
    MEASURED_FIELDS
    | {
        "stratum",
        "stratumURL",
        "stratumPort",
        "boardVersion",
        "asicCount",
        "deviceModel",
        "ASICModel",
        "can",
        "smallCoreCount",
        "shutdown",
    }
)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = (
    st.text(max_size=12)
    | NUMBERS.map(str)
    | st.from_regex(r"\d{1,4}(\.\d{1,3})?(e[+-]?\d{1,3})? ?[kMGTPE]?", fullmatch=True)
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*FIELDS, "usingFallback", "pools", "activePoolMode", "fleetPower", "connected"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=5,
)
SIGNED = {measure.key for measure in MEASURES if "temperature" in measure.key or "rssi" in measure.key}


@given(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=8))
@example({"hashRate": 5e-324, "power": 1e308})
@example({"hashRate": 1e-308, "power": 1})
def test_generated_json_in_a_field_invalidates_at_most_that_field(body):
    info = orjson.loads(json.dumps(body))
    values = read_telemetry(info)
    assert all(isinstance(value, float) and math.isfinite(value) for value in values.values())
    assert all(value >= 0 for key, value in values.items() if key not in SIGNED)
    values_with_other_field = read_telemetry({**info, "ssid": "x"})
    assert values_with_other_field == values
    find_pool_in_use(info)
    list_pool_shares(info)
    compute_output(info, values)


@given(TEXTS | NUMBERS | st.none() | st.booleans())
def test_generated_number_is_finite_or_none(value):
    parsed = parse_number(orjson.loads(json.dumps(value)))
    assert parsed is None or math.isfinite(parsed)


@pytest.mark.parametrize(
    ("answer", "pool"),
    [
        ({"stratumURL": "a.b", "stratumPort": 3333}, ("a.b", 3333)),
        ({"stratumURL": " a.b ", "stratumPort": "3333"}, ("a.b", 3333)),
        ({"stratumURL": "a", "stratumPort": 1, "fallbackStratumURL": "b", "fallbackStratumPort": 2}, ("a", 1)),
        ({"stratumURL": "a", "stratumPort": 1, "fallbackStratumURL": "b", "fallbackStratumPort": 2,
        "isUsingFallbackStratum": True}, ("b", 2)),
        ({"stratumURL": "a", "stratumPort": 1, "fallbackStratumURL": "", "fallbackStratumPort": 2,
        "isUsingFallbackStratum": 1}, None),
        ({"stratumURL": "", "stratumPort": 1}, None),
        ({"stratumURL": 5, "stratumPort": 1}, None),
        ({"stratumURL": "a", "stratumPort": None}, None),
        ({}, None),
        ({"stratumURL": "stratum+tcp://solo.ckpool.org:3333", "stratumPort": 3333}, ("solo.ckpool.org", 3333)),
        ({"stratumURL": "stratum+tcp://a.b:3333", "stratumPort": 0}, ("a.b", 3333)),
        ({"stratumURL": "stratum+tcp://a.b:3333"}, ("a.b", 3333)),
        ({"stratumURL": "STRATUM+SSL://A.B:443/", "stratumPort": 0}, ("a.b", 443)),
        ({"stratumURL": "stratum+tls://user:pw@a.b:443/x", "stratumPort": 1}, ("a.b", 443)),
        ({"stratumURL": "a.b", "stratumPort": 0}, ("a.b", 0)),
        ({"stratumURL": "a.b:", "stratumPort": 7}, ("a.b", 7)),
        ({"stratumURL": "a.b:0", "stratumPort": 7}, ("a.b", 7)),
        ({"stratumURL": "tcp://[2001:DB8::1]:3333", "stratumPort": 0}, ("[2001:db8::1]", 3333)),
        ({"stratumURL": "2001:db8::1", "stratumPort": 3333}, ("[2001:db8::1]", 3333)),
        ({"stratumURL": "://", "stratumPort": 3333}, None),
        ({"stratumURL": "a", "stratumPort": 1, "fallbackStratumURL": "b", "fallbackStratumPort": 2,
        "isUsingFallbackStratum": 1, "stratum": {"activePoolMode": 1, "pools": [{}, {}]}}, ("a", 1)),
    ],
)  # fmt: skip
def test_pool_in_use(answer, pool):
    assert find_pool_in_use(answer) == pool


def test_every_measure_has_unique_key_and_help():
    keys = [measure.key for measure in MEASURES]
    assert len(keys) == len(set(keys))
    assert all(measure.help and measure.fields for measure in MEASURES)
    assert sum(measure.legacy for measure in MEASURES) == 14 + 3
