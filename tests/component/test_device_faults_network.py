"""A miner that drips, floods, lies or is not there: it costs one poll's time, 256 KiB, and nobody else anything."""

import logging
import tracemalloc

import gevent
import pytest
from fakes import eventually, free_port, nothing_leaks
from hostile_miner import BROKEN, LARGE, SLOW, STRANGE, RawMiner, deaf_address, framed, info, says, silence
from testbed import LOOPBACK

from app.clock import Clock
from app.errors import DeviceBadPayload, DeviceError, DeviceTimeout, DeviceTooLarge, DeviceUnreachable
from app.miners.address import Address, AddressRule
from app.miners.client import Miners
from app.models import Device

MAC = "02:00:5e:00:00:77"
MEBIBYTE = 2**20


@pytest.fixture
def street(make_fleet, make_service, clock):
    """`service, healthy = street("127.0.0.1:81")`: a device at that address, and three well ones; polled twice. Its
    port is not among those that are scanned."""

    def build(address, **settings):
        healthy = make_fleet("2.12", "2.15", "2.4", clock=clock.monotonic)
        service = make_service(healthy, clock=clock, **{"poll_interval": 0.3, **settings})
        service.imprint(*healthy)
        service.runtime.monitoring.watch(service.runtime.fleet.keep([Device(MAC, address)]))
        service.round(2)
        return service, list(healthy)

    return build


@pytest.fixture
def raw():
    with RawMiner(MAC) as miner:
        yield miner


def pass_round(service, healthy):
    """Each of the healthy ones answers once more, however long the other takes."""
    before = [service.observed(miner.mac) for miner in healthy]
    service.clock.advance(service.settings.poll_interval)
    eventually(lambda: all(service.observed(miner.mac) > was for miner, was in zip(healthy, before, strict=True)))


def misses(service):
    return service.runtime.fleet.get(MAC).observation.failures


def lose(service, healthy):
    """Rounds until the device has missed three polls; the others miss none."""
    was = misses(service)
    rounds = 0
    while misses(service) < was + 3:
        pass_round(service, healthy)
        rounds += 1
        assert rounds < 3000
        gevent.sleep(0.05)
    service.settle()
    return rounds


def levels(caplog):
    return [record.levelname for record in caplog.records if record.getMessage() in ("miner lost", "miner is back")]


def assert_well(service):
    for path in ("/healthz", "/readyz"):
        assert service.client.get(path, buffered=True).status_code == 200


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        *(pytest.param(act, "deadline", id=name) for name, act in SLOW.items()),
        *(pytest.param(act, "too_large", id=name) for name, act in LARGE.items()),
        *(pytest.param(act, "bad_payload", id=name) for name, act in STRANGE.items()),
        *(pytest.param(act, "dropped", id=name) for name, act in BROKEN.items()),
    ],
)
def test_whatever_it_does_it_is_lost_once_and_the_others_keep_their_pace(street, raw, act, reason, caplog):
    service, healthy = street(raw.address)
    good = service.device(MAC)["info"]
    raw.act = act
    lose(service, healthy)
    device = service.device(MAC)
    assert (device["status"], device["info"]) == ("offline", good)
    assert service.runtime.fleet.get(MAC).observation.reason == reason
    assert service.scrape().get_one("pluto_poll_failures_total", reason=reason) >= 3
    assert service.scrape().of_device(MAC) == {"up": 0}
    assert_well(service)
    raw.act = None
    service.round(2)
    assert service.status(MAC) == "online"
    assert levels(caplog) == ["WARNING", "INFO"]


def test_it_is_asked_one_thing_at_a_time(street, raw):
    service, healthy = street(raw.address)
    raw.act = silence
    lose(service, healthy)
    assert raw.max_in_flight == 1


def test_nobody_listens(street, caplog):
    service, healthy = street(f"127.0.0.1:{free_port()}")
    lose(service, healthy)
    assert service.status(MAC) == "offline"
    assert "refused" in service.device(MAC)["error"]
    assert levels(caplog) == ["WARNING"]
    assert_well(service)


def test_nobody_answers_a_syn(street, caplog):
    with deaf_address() as (host, port):
        service, healthy = street(f"{host}:{port}")
        rounds = lose(service, healthy)
        assert rounds > 3  # the others went on while it was waited for
        assert service.status(MAC) == "offline"
        assert levels(caplog) == ["WARNING"]
        assert_well(service)


def at(peer, seconds=0.4):
    """One poll of it, without a service round it."""
    miner = Miners(AddressRule(LOOPBACK).check, Clock()).at(Address(peer.host, peer.port))
    try:
        return miner.info(seconds)
    finally:
        miner.close()


def test_no_route_is_unreachable():
    """The one address to which no host has a route."""
    nowhere = Miners(lambda address: address, Clock()).at(Address("255.255.255.255", 80))
    with pytest.raises(DeviceUnreachable, match="unreachable"):
        nowhere.info(1.0)


@pytest.mark.parametrize("act", SLOW.values(), ids=SLOW)
def test_a_hundred_that_are_cut_leave_no_socket(raw, act):
    raw.act = act
    with nothing_leaks():
        polls = [gevent.spawn(at, raw, 0.1) for _ in range(100)]
        gevent.joinall(polls, timeout=20)
        assert all(isinstance(poll.exception, DeviceTimeout) for poll in polls)


@pytest.mark.parametrize(
    ("act", "bound"),
    [
        *(pytest.param(act, 2 * MEBIBYTE, id=name) for name, act in LARGE.items()),
        # What fits is parsed, and JSON that is all brackets takes the parser its 16 bytes for each of them.
        *(pytest.param(act, 8 * MEBIBYTE, id=name) for name, act in STRANGE.items()),
    ],
)
def test_what_it_sends_takes_a_bounded_amount_of_memory(raw, act, bound):
    raw.act = act
    with pytest.raises(DeviceError):
        at(raw, 5.0)  # what is imported or remembered once
    tracemalloc.start()
    try:
        for _ in range(3):
            with pytest.raises((DeviceTooLarge, DeviceBadPayload)):
                at(raw, 20.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < bound


def test_names_that_are_new_in_each_answer_are_not_kept(raw):
    """What is remembered of keys, so as not to look at each again, is bounded in bytes."""
    bodies = [info(MAC, **{f"{poll:04x}{'k' * 100_000}": 1, f"{poll:04x}": 2}) for poll in range(40)]

    def poll(body):
        raw.body = body
        at(raw, 5.0)

    poll(bodies[0])
    tracemalloc.start()
    try:
        for body in bodies:
            poll(body)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2 * MEBIBYTE


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "where", ["http://{canary}/api/system/info", "//{canary}/", "/api/system/info", "file:///etc/passwd"]
)
def test_a_redirect_is_never_followed(raw, status, where):
    """Not elsewhere, not to itself, not to a file."""
    with RawMiner("02:00:5e:00:00:78") as canary:
        location = where.format(canary=canary.address).encode()
        raw.act = says(framed(b"", b"Location: " + location, status=b"%d Moved" % status))
        with pytest.raises(DeviceError) as raised:
            at(raw)
        assert raised.value.reason == "redirect"
        assert (canary.accepted, raw.accepted) == (0, 1)


@pytest.mark.parametrize("status", [400, 404, 418, 429, 431, 500, 502, 503, 599])
def test_any_other_status_is_a_miss_with_a_reason(street, raw, status):
    service, healthy = street(raw.address)
    raw.act = says(framed(b"no", status=b"%d Whatever" % status))
    lose(service, healthy)
    device = service.device(MAC)
    assert (device["status"], device["error"]) == ("offline", f"The device answered with status {status}")
    assert service.runtime.fleet.get(MAC).observation.reason == "status"


@pytest.mark.parametrize(
    ("status", "said", "rounds"),
    [
        (503, b"20", 4),
        (429, b"20", 4),
        (429, b"3600", 12),
        (429, b"1", 1),
        (429, b"0", 1),
        (500, b"20", 1),
        (503, b"Wed, 21 Oct 2099 07:28:00 GMT", 1),
        (503, b"-5", 1),
        (503, b"1e9", 1),
        (503, b"9" * 500, 1),
    ],
)
def test_retry_after_is_given_up_to_a_minute(street, raw, status, said, rounds):
    """Of 429 and 503, in seconds; the others are asked as ever."""
    service, healthy = street(raw.address, poll_interval=5.0)
    raw.act = says(framed(b"", b"Retry-After: " + said, status=b"%d No" % status))
    service.round()
    assert misses(service) == 1
    asked = len(raw.requests)
    for _ in range(rounds - 1):
        pass_round(service, healthy)
        service.settle()
    assert len(raw.requests) == asked
    service.round()
    assert len(raw.requests) == asked + 1


def test_a_kept_connection_that_is_dead_is_no_miss(street, raw, caplog):
    """The miner lets go of the least recently used of twenty sockets."""
    service, healthy = street(raw.address)
    for _ in range(3):
        accepted = raw.accepted
        raw.drop()
        service.round()
        assert (service.status(MAC), misses(service)) == ("online", 0)
        assert raw.accepted == accepted + 1
    assert levels(caplog) == []


@pytest.mark.parametrize("kind", ["refused", "locked"])
def test_a_401_says_what_to_do(street, raw, kind, caplog):
    challenge = (b'WWW-Authenticate: Basic realm="AxeOS"',) if kind == "locked" else ()
    service, healthy = street(raw.address)
    raw.act = says(framed(b"Unauthorized", *challenge, status=b"401 Unauthorized"))
    pass_round(service, healthy)
    service.settle()
    device = service.device(MAC)
    assert device["status"] == kind
    assert {"refused": "private IPv4", "locked": "login"}[kind] in device["error"]
    assert levels(caplog) == ["WARNING"]
    assert logging.getLevelName(caplog.records[-1].levelno) == "WARNING"
