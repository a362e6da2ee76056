"""Arbitrary answers of a miner: an invalid field loses only that field, an invalid body only that poll."""

import json
import math
import re
from functools import cache

import orjson
import pytest
from answer_mutations import BODIES, BODY_AND_CHANGES, apply_changes, compute_expected_number
from hostile_miner import RawMiner, frame_response, make_sender
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from testbed import LOOPBACK

from app.clock import Clock
from app.errors import DeviceError
from app.miners.address import Address, AddressRule
from app.miners.device_client import MinerRegistry
from app.miners.measures import MEASURES
from app.models import Device

MAC = "02:00:5e:00:00:77"
MILLI = {"voltage_volts", "current_amps", "core_voltage_volts", "core_voltage_actual_volts", "pool_response_seconds"}
SIGNED = {measure.key for measure in MEASURES if "temperature" in measure.key or "rssi" in measure.key}
FLAGS = {
    "using_fallback_pool",
    "mining_paused",
    "overheat",
    "power_fault",
    "hardware_fault",
    "pool_connected",
    "shutdown",
}
OTHERS = {"efficiency", "best_difficulty", "best_session_difficulty", "hashrate_ghs", "fan_percent", "fanspeed_rpm"}
PLAIN = [m for m in MEASURES if m.key not in SIGNED | FLAGS | OTHERS or m.key == "target_temperature_celsius"]
# Other fields that a measure depends on.
OTHER_FIELDS = {
    "temperature2_celsius": {"asicCount", "boardVersion", "deviceModel", "ASICModel"},
    "using_fallback_pool": {"stratum"},
    "pool_connected": {"stratum", "isUsingFallbackStratum"},
    "fan_percent": {"fanrpm", "manualFanSpeed"},
    "fanspeed_rpm": {"fanrpm", "manualFanSpeed"},
    "efficiency": {
        "hashRate_10m",
        "miningPaused",
        "can",
        "frequency",
        "smallCoreCount",
        "asicCount",
        "expectedHashrate",
    }
    | {"boardVersion", "deviceModel", "minerModel", "family", "asicTemps", "jobInterval", "hostip"},
    "power_fault": {"apEnabled"},
    "hardware_fault": {"miningPaused"},
}
# Fields that decide whether a zero is a value.
IDLE = {"hashRate", "hashRate_10m", "miningPaused", "deviceModel", "asicTemps", "jobInterval", "hostip"}
NUMBER = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?")
default_settings = settings(
    max_examples=settings.default.max_examples // 2,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def testbed(raw_miner, make_service, clock):
    """The service over that one miner, which is polled only by the test. A setting of it was written once."""
    service = make_service(clock=clock)
    (tracked,) = service.runtime.fleet.save_devices([Device(MAC, raw_miner.address)])
    service.runtime.fleet.set_monitored(tracked, True)
    service.runtime.desired_states.merge_settings(
        MAC, {"frequency": 525, "coreVoltage": 1150, "stratumUser": "bc1q.x", "rotation": 0}
    )

    def poll_answer(body):
        """Let the miner answer with `body` and poll it once."""
        raw_miner.body = json.dumps(body).encode()  # orjson takes no integer over 64 bits
        service.runtime.poller.poll_device(tracked, service.runtime.miners.get_miner(tracked.address))

    @cache
    def export_of(name):
        """Return the exported series of a miner that answers with this body."""
        poll_answer(make_answer(name))
        return service.scrape_metrics().get_device_values(MAC)

    return service, poll_answer, export_of


def make_answer(name):
    return {**BODIES[name], "macAddr": MAC.upper()}


def first_present_value(measure, body):
    return next((body[field] for field in measure.fields if field in body), None)


def allowed_values(measure, value_in_answer):
    """Return the values that a measure may have when its field contains `value_in_answer`."""
    value = compute_expected_number(value_in_answer)
    if isinstance(value_in_answer, str) and not NUMBER.fullmatch(value_in_answer.strip()):
        value = None if value is None else value  # an unusual notation: that number, or none
        return {None, *([] if value is None or value < 0 else [value])}
    return {None if value is None or value < 0 else value}


def check_export(testbed, name, changes):
    service, poll_answer, export_of = testbed
    before = export_of(name)
    poll_answer(make_answer(name))
    body = apply_changes(make_answer(name), changes)
    poll_answer(body)
    scrape = service.scrape_metrics()
    after, device = scrape.get_device_values(MAC), service.get_device(MAC)
    assert all(math.isfinite(value) for (series, _), value in scrape.items() if not series.endswith("_bucket"))
    online = device["status"] == "online"
    for measure in MEASURES:
        touched = changes.keys() & {
            *measure.fields,
            *OTHER_FIELDS.get(measure.key, ()),
            *(IDLE if measure.zero_counts else ()),
        }
        value, value_in_answer = after.get(measure.key), first_present_value(measure, body)
        if not (online and touched):
            assert value == before.get(measure.key), measure.key
        elif measure.zero_counts and value is None and compute_expected_number(value_in_answer) in (0, None):
            pass
        elif measure in PLAIN:
            scale = 1000 if measure.key in MILLI else 1
            assert value in {
                None if each is None else each / scale for each in allowed_values(measure, value_in_answer)
            }, measure.key
        elif measure.key in FLAGS:
            assert value in (None, 0, 1)
        elif value == 0 and measure.key != "efficiency":
            assert compute_expected_number(value_in_answer) == 0 or str(value_in_answer)[0] == "0", (
                f"an invented zero: {measure.key}"
            )
    assert isinstance(device["info"]["power"], (int, float))
    assert isinstance(device["info"]["stratumUser"], str)
    for path in ("/", f"/devices/{MAC}/options"):
        assert service.client.get(path, buffered=True).status_code == 200


@default_settings
@given(BODY_AND_CHANGES)
@example(("AxeOS 2.12", {"uptimeSeconds": 1e308}))
@example(("AxeOS 2.12", {"uptimeSeconds": -5}))
@example(("AxeOS 2.15", {"frequency": 1e308, "coreVoltage": "x"}))
@example(("AxeOS 2.15", {"stratumPort": 1e308, "stratumURL": "x" * 5000}))
@example(("nerdqaxeplus-v1.0.30", {"asicCount": 10**18, "temp2": 0}))
@example(("AxeOS 2.12", {"ASICModel": None}))
@example(("AxeOS 2.12", {"power": "12.5", "hashRate": "1e3"}))
@example(("AxeOS 2.12", {"sharesAccepted": 1e308}))
def test_invalid_field_is_absent_and_other_fields_are_kept(testbed, body_and_changes):
    check_export(testbed, *body_and_changes)


@pytest.mark.parametrize("value", [None, True, "", "12.5", -1, 1e308, [], {}], ids=str)
def test_all_fields_invalid_at_once(testbed, value):
    keep = ("macAddr", "ASICModel", "version", "deviceModel", "axeOSVersion", "hashRate")
    for name, body in BODIES.items():
        check_export(testbed, name, {key: value for key in body if key not in keep})


def test_totals_of_two_miners_with_huge_values_are_finite(make_service, clock):
    """The sum of finite values may be infinite; a number that Prometheus cannot parse would fail the whole scrape."""
    answer = {
        **BODIES["AxeOS 2.12"],
        "sharesAccepted": 1e308,
        "sharesRejected": "1e308",
        "power": 1e308,
        "hashRate": 1e308,
    }
    with RawMiner(MAC) as one, RawMiner(MAC[:-1] + "8") as other:
        service = make_service(clock=clock)
        for miner in (one, other):
            miner.body = orjson.dumps({**answer, "macAddr": miner.mac})
            (tracked,) = service.runtime.fleet.save_devices([Device(miner.mac, miner.address)])
            service.runtime.fleet.set_monitored(tracked, True)
            service.runtime.poller.poll_device(tracked, service.runtime.miners.get_miner(tracked.address))
        scrape = service.scrape_metrics()
        assert scrape.get_value("hardware_online") == 2
        assert all(math.isfinite(value) for (name, _), value in scrape.items() if not name.endswith("_bucket"))
        assert not re.search(r"[0-9]{40}", scrape.text)


# Invalid bytes.


def read_info(raw_miner, *parts):
    raw_miner.act = make_sender(*parts)
    miner = MinerRegistry(AddressRule(LOOPBACK).check_address, Clock()).get_miner(
        Address(raw_miner.host, raw_miner.port)
    )
    try:
        return miner.fetch_info(2.0)
    finally:
        miner.close()


def is_miner_answer(body):
    """Return True if Python's own parser accepts the body as a miner's answer."""

    try:
        parsed = json.loads(body.removeprefix(b"\xef\xbb\xbf").decode(errors="replace"))
    except (ValueError, RecursionError):
        return False
    return isinstance(parsed, dict) and isinstance(parsed.get("ASICModel"), str)


@st.composite
def make_broken_bodies(draw):
    body = bytearray(orjson.dumps(make_answer(draw(st.sampled_from(sorted(BODIES))))))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(body) - 1))
        how = draw(st.integers(0, 3))
        if how == 0:
            body[at] = draw(st.integers(0, 255))
        elif how == 1:
            del body[at : at + draw(st.integers(1, 50))]
        elif how == 2:
            body[at:at] = draw(st.binary(min_size=1, max_size=10))
        else:
            body[at:at] = draw(
                st.sampled_from([b"NaN", b"-Infinity", b"\x00", b"\xed\xa0\x80", b"\\ud800", b"[" * 2000])
            )
        if not body:
            break
    if draw(st.booleans()):
        del body[draw(st.integers(0, len(body))) :]
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\r\n "])) + bytes(body)


@default_settings
@given(make_broken_bodies(), st.lists(st.integers(1, 400), max_size=8), st.booleans())
def test_invalid_body_raises_device_error_only(raw_miner, body, cuts, chunked):
    parts, rest = [], body
    for cut in cuts:
        parts.append(rest[:cut])
        rest = rest[cut:]
    parts = [part for part in (*parts, rest) if part]
    if chunked:
        framing = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]
        framing += [b"%x\r\n%b\r\n" % (len(part), part) for part in parts]
        framing.append(b"0\r\n\r\n")
    else:
        framing = [frame_response(body).removesuffix(body), *parts]
    try:
        reading = read_info(raw_miner, *framing)
    except DeviceError as error:
        assert str(error)
        assert error.reason == "bad_payload"
    else:
        assert is_miner_answer(body)
        assert reading.mac in (MAC, None) or reading.mac != MAC


@pytest.mark.parametrize("prefix", [b"", b"\xef\xbb\xbf", b"\n\t "])
@pytest.mark.parametrize("kind", [b"application/json", b"text/html", b"application/octet-stream", b""])
def test_json_body_is_accepted_with_any_content_type(raw_miner, prefix, kind):
    body = prefix + orjson.dumps(make_answer("AxeOS 2.4"))
    assert read_info(raw_miner, frame_response(body, b"Content-Type: " + kind)).mac == MAC
