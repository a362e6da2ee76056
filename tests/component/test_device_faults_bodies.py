"""What a miner answers, with anything in any place: a bad field costs that field, a bad body that poll, and neither
anything else."""

import json
import math
import re
from functools import cache

import orjson
import pytest
from answer_mutations import BODIES, BODY_AND_CHANGES, mutated, oracle
from hostile_miner import RawMiner, framed, says
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from testbed import LOOPBACK

from app.clock import Clock
from app.errors import DeviceError
from app.miners.address import Address, AddressRule
from app.miners.client import Miners
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
# What else a measure is read by.
ALSO = {
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
# What a zero is judged by.
IDLE = {"hashRate", "hashRate_10m", "miningPaused", "deviceModel", "asicTemps", "jobInterval", "hostip"}
NUMBER = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?")
usual = settings(
    max_examples=settings.default.max_examples // 2,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def raw():
    with RawMiner(MAC) as miner:
        yield miner


@pytest.fixture
def testbed(raw, make_service, clock):
    """The service over that one miner, of which something was asked once; it is polled when the test says so."""
    service = make_service(clock=clock)
    (tracked,) = service.runtime.fleet.keep([Device(MAC, raw.address)])
    service.runtime.fleet.set_monitored(tracked, True)
    service.runtime.intents.wrote(MAC, {"frequency": 525, "coreVoltage": 1150, "stratumUser": "bc1q.x", "rotation": 0})

    def say(body):
        """Has the miner say it, once."""
        raw.body = json.dumps(body).encode()  # orjson takes no integer over 64 bits
        service.runtime.poller.poll(tracked, service.runtime.miners.at(tracked.address))

    @cache
    def well(name):
        """What is exported of one that says just this."""
        say(named(name))
        return service.scrape().of_device(MAC)

    return service, say, well


def named(name):
    return {**BODIES[name], "macAddr": MAC.upper()}


def first_of(measure, body):
    return next((body[field] for field in measure.fields if field in body), None)


def may_export(measure, said):
    """What the value of a measure may be, where its field says `said`."""
    value = oracle(said)
    if isinstance(said, str) and not NUMBER.fullmatch(said.strip()):
        value = None if value is None else value  # an odd spelling: that number, or none
        return {None, *([] if value is None or value < 0 else [value])}
    return {None if value is None or value < 0 else value}


def check(testbed, name, changes):
    service, say, well = testbed
    before = well(name)
    say(named(name))
    body = mutated(named(name), changes)
    say(body)
    scrape = service.scrape()
    after, device = scrape.of_device(MAC), service.device(MAC)
    assert all(math.isfinite(value) for (series, _), value in scrape.items() if not series.endswith("_bucket"))
    online = device["status"] == "online"
    for measure in MEASURES:
        touched = changes.keys() & {*measure.fields, *ALSO.get(measure.key, ()), *(IDLE if measure.zero_counts else ())}
        value, said = after.get(measure.key), first_of(measure, body)
        if not (online and touched):
            assert value == before.get(measure.key), measure.key
        elif measure.zero_counts and value is None and oracle(said) in (0, None):
            pass
        elif measure in PLAIN:
            scale = 1000 if measure.key in MILLI else 1
            assert value in {None if each is None else each / scale for each in may_export(measure, said)}, measure.key
        elif measure.key in FLAGS:
            assert value in (None, 0, 1)
        elif value == 0 and measure.key != "efficiency":
            assert oracle(said) == 0 or str(said)[0] == "0", f"an invented zero: {measure.key}"
    assert isinstance(device["info"]["power"], (int, float))
    assert isinstance(device["info"]["stratumUser"], str)
    for path in ("/", f"/devices/{MAC}/options"):
        assert service.client.get(path, buffered=True).status_code == 200


@usual
@given(BODY_AND_CHANGES)
@example(("AxeOS 2.12", {"uptimeSeconds": 1e308}))
@example(("AxeOS 2.12", {"uptimeSeconds": -5}))
@example(("AxeOS 2.15", {"frequency": 1e308, "coreVoltage": "x"}))
@example(("AxeOS 2.15", {"stratumPort": 1e308, "stratumURL": "x" * 5000}))
@example(("nerdqaxeplus-v1.0.30", {"asicCount": 10**18, "temp2": 0}))
@example(("AxeOS 2.12", {"ASICModel": None}))
@example(("AxeOS 2.12", {"power": "12.5", "hashRate": "1e3"}))
@example(("AxeOS 2.12", {"sharesAccepted": 1e308}))
def test_a_bad_field_is_unknown_and_the_others_are_kept(testbed, body_and_changes):
    check(testbed, *body_and_changes)


@pytest.mark.parametrize("value", [None, True, "", "12.5", -1, 1e308, [], {}], ids=str)
def test_every_field_may_be_wrong_at_once(testbed, value):
    keep = ("macAddr", "ASICModel", "version", "deviceModel", "axeOSVersion", "hashRate")
    for name, body in BODIES.items():
        check(testbed, name, {key: value for key in body if key not in keep})


def test_the_totals_of_two_that_lie_are_finite(make_service, clock):
    """Sums of what is finite may not be; a number that Prometheus cannot read is the end of the whole scrape."""
    liar = {
        **BODIES["AxeOS 2.12"],
        "sharesAccepted": 1e308,
        "sharesRejected": "1e308",
        "power": 1e308,
        "hashRate": 1e308,
    }
    with RawMiner(MAC) as one, RawMiner(MAC[:-1] + "8") as other:
        service = make_service(clock=clock)
        for miner in (one, other):
            miner.body = orjson.dumps({**liar, "macAddr": miner.mac})
            (tracked,) = service.runtime.fleet.keep([Device(miner.mac, miner.address)])
            service.runtime.fleet.set_monitored(tracked, True)
            service.runtime.poller.poll(tracked, service.runtime.miners.at(tracked.address))
        scrape = service.scrape()
        assert scrape.get_one("hardware_online") == 2
        assert all(math.isfinite(value) for (name, _), value in scrape.items() if not name.endswith("_bucket"))
        assert not re.search(r"[0-9]{40}", scrape.text)


# Bytes.


def ask(raw, *parts):
    raw.act = says(*parts)
    miner = Miners(AddressRule(LOOPBACK).check, Clock()).at(Address(raw.host, raw.port))
    try:
        return miner.info(2.0)
    finally:
        miner.close()


def readable(body):
    """Whether Python's own parser takes it for a miner's answer."""

    try:
        read = json.loads(body.removeprefix(b"\xef\xbb\xbf").decode(errors="replace"))
    except (ValueError, RecursionError):
        return False
    return isinstance(read, dict) and isinstance(read.get("ASICModel"), str)


@st.composite
def broken_bodies(draw):
    body = bytearray(orjson.dumps(named(draw(st.sampled_from(sorted(BODIES))))))
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


@usual
@given(broken_bodies(), st.lists(st.integers(1, 400), max_size=8), st.booleans())
def test_a_bad_body_is_a_miss_and_no_other_error(raw, body, cuts, chunked):
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
        framing = [framed(body).removesuffix(body), *parts]
    try:
        reading = ask(raw, *framing)
    except DeviceError as error:
        assert str(error)
        assert error.reason == "bad_payload"
    else:
        assert readable(body)
        assert reading.mac in (MAC, None) or reading.mac != MAC


@pytest.mark.parametrize("prefix", [b"", b"\xef\xbb\xbf", b"\n\t "])
@pytest.mark.parametrize("kind", [b"application/json", b"text/html", b"application/octet-stream", b""])
def test_what_is_json_counts_whatever_it_is_called(raw, prefix, kind):
    body = prefix + orjson.dumps(named("AxeOS 2.4"))
    assert ask(raw, framed(body, b"Content-Type: " + kind)).mac == MAC
