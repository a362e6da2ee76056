"""A miner whose log stream floods, never ends a line or frame, or closes at once: buffers are bounded, reconnects back
off, and polls continue."""

import time
import tracemalloc

import gevent
import pytest
from fakes import assert_no_leaks, wait_until
from log_helpers import FAST_POLICY, MAC, WebsocketMiner, accept_websocket, read_stream_state

MEBIBYTE = 2**20
PING = b"\x89\x00"
BIG_PING = b"\x89\x7d" + b"p" * 125


def make_frame(opcode, payload):
    size = bytes((len(payload),)) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2)
    return bytes((0x80 | opcode,)) + size + payload


def send_forever(part):
    """Return a behaviour that sends `part` as fast as it is read, without end."""

    def behave(opened, request):
        opened.sendall(accept_websocket(request))
        while True:
            opened.sendall(part * 64)
            gevent.sleep(0)

    return behave


@pytest.fixture
def log_testbed(make_fleet, make_service):
    """`service, strange, healthy = log_testbed(behave)`: both monitored, with the log of the faulty one followed."""
    peers = []

    def build(behave):
        faulty = WebsocketMiner(behave)
        peers.append(faulty)
        faulty.__enter__()
        fleet = make_fleet("2.12")
        service = make_service(
            fleet, log_policy=FAST_POLICY, discovery_ports=(faulty.port, fleet.miners[0].server.address[1])
        )
        service.imprint_miners(*fleet)
        registration = {"devices": [{"mac": MAC, "ip": faulty.address}]}
        service.read_data(service.client.put("/devices/imprint", json=registration))
        service.wait_for_status("online", MAC, *fleet)
        body = {"macs": [MAC, fleet.miners[0].mac], "traceLogs": True}
        service.read_data(service.client.put("/devices/listen", json=body))
        wait_until(lambda: faulty.list_websocket_requests())
        return service, faulty, fleet.miners[0]

    yield build
    for faulty in peers:
        faulty.__exit__()


FLOODS = {
    "pings": send_forever(PING),
    "pings with payload": send_forever(BIG_PING),
    "pongs": send_forever(make_frame(0xA, b"x" * 100)),
    "a line without an end": send_forever(make_frame(1, b"x" * 4000)),
    "binary": send_forever(make_frame(2, bytes(range(256)) * 15)),
    "empty frames": send_forever(make_frame(1, b"")),
    "a message without an end": send_forever(b"\x00\x7e\x0f\xa0" + b"y" * 4000),
    "lines": send_forever(make_frame(1, b"I (5) tag: said\n" * 100)),
}


@pytest.mark.parametrize("behave", FLOODS.values(), ids=FLOODS)
def test_flood_of_log_stream_does_not_delay_polls_and_uses_bounded_memory(log_testbed, behave):
    service, _, healthy = log_testbed(behave)
    before = {mac: service.count_observations(mac) for mac in (MAC, healthy.mac)}
    tracemalloc.start()
    try:
        gevent.sleep(1.1)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert min(service.count_observations(mac) - was for mac, was in before.items()) >= 1
    assert peak < 4 * MEBIBYTE  # includes the ring buffer's 256 KiB as objects and this test's own frames
    assert service.client.get("/healthz", buffered=True).status_code == 200


def test_log_stream_that_closes_at_once_is_retried_with_jittered_backoff(log_testbed):
    """The backoff has full jitter below a ceiling that doubles: here 0.05 to 0.3 s."""
    connect_times = []

    def behave(opened, request):
        connect_times.append(time.monotonic())
        opened.sendall(accept_websocket(request))

    service, _, healthy = log_testbed(behave)
    before = service.count_observations(healthy.mac)
    gevent.sleep(2)
    pauses = [later - earlier for earlier, later in zip(connect_times, connect_times[1:], strict=False)]
    assert 4 <= len(pauses) <= 60
    assert len({round(pause, 2) for pause in pauses[2:]}) > 3
    assert service.count_observations(healthy.mac) - before >= 2
    assert read_stream_state(service, MAC) in ("waiting", "connecting", "streaming")


def test_broken_log_streams_leak_nothing(log_testbed):
    def behave(opened, request):
        opened.sendall(accept_websocket(request) + b"\x81\x7e\x40\x00" + b"x" * 100)

    service, faulty, healthy = log_testbed(behave)
    hub = service.runtime.log_hub
    tracked = service.runtime.fleet.get_device(MAC)
    gevent.sleep(0.3)
    with assert_no_leaks(files=2):
        for _ in range(30):
            was = len(faulty.list_websocket_requests())
            hub.add_listener(tracked, "a test")
            hub.find_reader(MAC).retry_now()
            wait_until(lambda was=was: len(faulty.list_websocket_requests()) > was)
