"""A miner that is slow, floods, sends garbage or is unreachable: it costs one poll's time and 256 KiB, and other miners
are polled on time."""

import logging
import tracemalloc

import gevent
import pytest
from fakes import assert_no_leaks, find_free_port, wait_until
from hostile_miner import (
    BROKEN_ANSWERS,
    LARGE_ANSWERS,
    SLOW_ANSWERS,
    STRANGE_ANSWERS,
    RawMiner,
    frame_response,
    make_info,
    make_sender,
    stay_silent,
    unresponsive_address,
)
from testbed import LOOPBACK

from app.clock import Clock
from app.errors import DeviceBadPayload, DeviceError, DeviceTimeout, DeviceTooLarge, DeviceUnreachable
from app.miners.address import Address, AddressRule
from app.miners.device_client import MinerRegistry
from app.models import Device

MAC = "02:00:5e:00:00:77"
MEBIBYTE = 2**20


@pytest.fixture
def healthy_and_faulty(make_fleet, make_service, clock):
    """`service, healthy = healthy_and_faulty("127.0.0.1:81")`: a device at that address and three healthy ones, polled
    twice. Its port is not scanned."""

    def build(address, **settings):
        healthy = make_fleet("2.12", "2.15", "2.4", clock=clock.monotonic)
        service = make_service(healthy, clock=clock, **{"poll_interval": 0.3, **settings})
        service.imprint_miners(*healthy)
        service.runtime.monitoring.start_monitoring(service.runtime.fleet.save_devices([Device(MAC, address)]))
        service.run_polls(2)
        return service, list(healthy)

    return build


def poll_healthy_once(service, healthy):
    """Wait until each healthy miner answered once more, however long the faulty one takes."""
    before = [service.count_observations(miner.mac) for miner in healthy]
    service.clock.advance(service.settings.poll_interval)
    wait_until(
        lambda: all(service.count_observations(miner.mac) > was for miner, was in zip(healthy, before, strict=True))
    )


def count_failures(service):
    return service.runtime.fleet.get_device(MAC).observation.failures


def await_offline(service, healthy):
    """Poll until the device failed three times, and return the number of rounds; the healthy miners fail never."""
    was = count_failures(service)
    rounds = 0
    while count_failures(service) < was + 3:
        poll_healthy_once(service, healthy)
        rounds += 1
        assert rounds < 3000
        gevent.sleep(0.05)
    service.wait_until_idle()
    return rounds


def list_log_levels(caplog):
    return [record.levelname for record in caplog.records if record.getMessage() in ("miner lost", "miner is back")]


def assert_service_is_healthy(service):
    for path in ("/healthz", "/readyz"):
        assert service.client.get(path, buffered=True).status_code == 200


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        *(pytest.param(act, "deadline", id=name) for name, act in SLOW_ANSWERS.items()),
        *(pytest.param(act, "too_large", id=name) for name, act in LARGE_ANSWERS.items()),
        *(pytest.param(act, "bad_payload", id=name) for name, act in STRANGE_ANSWERS.items()),
        *(pytest.param(act, "dropped", id=name) for name, act in BROKEN_ANSWERS.items()),
    ],
)
def test_faulty_miner_goes_offline_once_and_others_are_polled_on_time(
    healthy_and_faulty, raw_miner, act, reason, caplog
):
    service, healthy = healthy_and_faulty(raw_miner.address)
    known_info = service.get_device(MAC)["info"]
    raw_miner.act = act
    await_offline(service, healthy)
    device = service.get_device(MAC)
    assert (device["status"], device["info"]) == ("offline", known_info)
    assert service.runtime.fleet.get_device(MAC).observation.reason == reason
    assert service.scrape_metrics().get_value("pluto_poll_failures_total", reason=reason) >= 3
    assert service.scrape_metrics().get_device_values(MAC) == {"up": 0}
    assert_service_is_healthy(service)
    raw_miner.act = None
    service.run_polls(2)
    assert service.get_status(MAC) == "online"
    assert list_log_levels(caplog) == ["WARNING", "INFO"]


def test_silent_miner_gets_one_request_at_a_time(healthy_and_faulty, raw_miner):
    service, healthy = healthy_and_faulty(raw_miner.address)
    raw_miner.act = stay_silent
    await_offline(service, healthy)
    assert raw_miner.max_in_flight == 1


def test_closed_port_makes_device_offline(healthy_and_faulty, caplog):
    service, healthy = healthy_and_faulty(f"127.0.0.1:{find_free_port()}")
    await_offline(service, healthy)
    assert service.get_status(MAC) == "offline"
    assert "refused" in service.get_device(MAC)["error"]
    assert list_log_levels(caplog) == ["WARNING"]
    assert_service_is_healthy(service)


def test_unanswered_syn_makes_device_offline(healthy_and_faulty, caplog):
    with unresponsive_address() as (host, port):
        service, healthy = healthy_and_faulty(f"{host}:{port}")
        rounds = await_offline(service, healthy)
        assert rounds > 3  # the others were polled while this poll waited
        assert service.get_status(MAC) == "offline"
        assert list_log_levels(caplog) == ["WARNING"]
        assert_service_is_healthy(service)


def read_info(peer, seconds=0.4):
    """Poll the miner once, without a service."""
    miner = MinerRegistry(AddressRule(LOOPBACK).check_address, Clock()).get_miner(Address(peer.host, peer.port))
    try:
        return miner.fetch_info(seconds)
    finally:
        miner.close()


def test_address_without_route_is_unreachable():
    """255.255.255.255 is the one address to which no host has a route."""
    nowhere = MinerRegistry(lambda address: address, Clock()).get_miner(Address("255.255.255.255", 80))
    with pytest.raises(DeviceUnreachable, match="unreachable"):
        nowhere.fetch_info(1.0)


@pytest.mark.parametrize("act", SLOW_ANSWERS.values(), ids=SLOW_ANSWERS)
def test_hundred_timed_out_polls_leave_no_socket(raw_miner, act):
    raw_miner.act = act
    with assert_no_leaks():
        polls = [gevent.spawn(read_info, raw_miner, 0.1) for _ in range(100)]
        gevent.joinall(polls, timeout=20)
        assert all(isinstance(poll.exception, DeviceTimeout) for poll in polls)


@pytest.mark.parametrize(
    ("act", "bound"),
    [
        *(pytest.param(act, 2 * MEBIBYTE, id=name) for name, act in LARGE_ANSWERS.items()),
        # A body below the limit is parsed, and the parser needs 16 bytes for each bracket.
        *(pytest.param(act, 8 * MEBIBYTE, id=name) for name, act in STRANGE_ANSWERS.items()),
    ],
)
def test_oversized_answer_uses_bounded_memory(raw_miner, act, bound):
    raw_miner.act = act
    with pytest.raises(DeviceError):
        read_info(raw_miner, 5.0)  # the first call imports modules and fills caches
    tracemalloc.start()
    try:
        for _ in range(3):
            with pytest.raises((DeviceTooLarge, DeviceBadPayload)):
                read_info(raw_miner, 20.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < bound


def test_cache_of_field_names_is_bounded(raw_miner):
    """The cache of known field names is bounded in bytes."""
    bodies = [
        make_info(MAC, **{f"{poll_body:04x}{'k' * 100_000}": 1, f"{poll_body:04x}": 2}) for poll_body in range(40)
    ]

    def poll_body(body):
        raw_miner.body = body
        read_info(raw_miner, 5.0)

    poll_body(bodies[0])
    tracemalloc.start()
    try:
        for body in bodies:
            poll_body(body)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2 * MEBIBYTE


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "where", ["http://{canary}/api/system/info", "//{canary}/", "/api/system/info", "file:///etc/passwd"]
)
def test_redirect_is_never_followed(raw_miner, status, where):
    """Neither to another host, nor to the miner itself, nor to a file."""
    with RawMiner("02:00:5e:00:00:78") as canary:
        location = where.format(canary=canary.address).encode()
        raw_miner.act = make_sender(frame_response(b"", b"Location: " + location, status=b"%d Moved" % status))
        with pytest.raises(DeviceError) as raised:
            read_info(raw_miner)
        assert raised.value.reason == "redirect"
        assert (canary.accepted, raw_miner.accepted) == (0, 1)


@pytest.mark.parametrize("status", [400, 404, 418, 429, 431, 500, 502, 503, 599])
def test_error_status_fails_the_poll_with_reason(healthy_and_faulty, raw_miner, status):
    service, healthy = healthy_and_faulty(raw_miner.address)
    raw_miner.act = make_sender(frame_response(b"no", status=b"%d Whatever" % status))
    await_offline(service, healthy)
    device = service.get_device(MAC)
    assert (device["status"], device["error"]) == ("offline", f"The device answered with status {status}")
    assert service.runtime.fleet.get_device(MAC).observation.reason == "status"


@pytest.mark.parametrize(
    ("status", "retry_after", "rounds"),
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
def test_retry_after_is_honoured_up_to_one_minute(healthy_and_faulty, raw_miner, status, retry_after, rounds):
    """Retry-After counts for 429 and 503, in seconds; otherwise the miner is polled at the usual interval."""
    service, healthy = healthy_and_faulty(raw_miner.address, poll_interval=5.0)
    raw_miner.act = make_sender(frame_response(b"", b"Retry-After: " + retry_after, status=b"%d No" % status))
    service.run_polls()
    assert count_failures(service) == 1
    requests_before = len(raw_miner.requests)
    for _ in range(rounds - 1):
        poll_healthy_once(service, healthy)
        service.wait_until_idle()
    assert len(raw_miner.requests) == requests_before
    service.run_polls()
    assert len(raw_miner.requests) == requests_before + 1


def test_closed_keep_alive_connection_does_not_fail_the_poll(healthy_and_faulty, raw_miner, caplog):
    """The miner closes the least recently used of its twenty sockets."""
    service, healthy = healthy_and_faulty(raw_miner.address)
    for _ in range(3):
        accepted = raw_miner.accepted
        raw_miner.close_connections()
        service.run_polls()
        assert (service.get_status(MAC), count_failures(service)) == ("online", 0)
        assert raw_miner.accepted == accepted + 1
    assert list_log_levels(caplog) == []


@pytest.mark.parametrize("kind", ["refused", "locked"])
def test_status_401_explains_what_to_do(healthy_and_faulty, raw_miner, kind, caplog):
    challenge = (b'WWW-Authenticate: Basic realm="AxeOS"',) if kind == "locked" else ()
    service, healthy = healthy_and_faulty(raw_miner.address)
    raw_miner.act = make_sender(frame_response(b"Unauthorized", *challenge, status=b"401 Unauthorized"))
    poll_healthy_once(service, healthy)
    service.wait_until_idle()
    device = service.get_device(MAC)
    assert device["status"] == kind
    assert {"refused": "private IPv4", "locked": "login"}[kind] in device["error"]
    assert list_log_levels(caplog) == ["WARNING"]
    assert logging.getLevelName(caplog.records[-1].levelno) == "WARNING"
