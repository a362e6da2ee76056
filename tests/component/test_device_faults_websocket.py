"""A miner whose log stream floods, never ends a line or a frame, or is gone at once: its buffers are bounded, it is
tried again ever more rarely, and polls go on."""

import time
import tracemalloc

import gevent
import pytest
from fakes import eventually, nothing_leaks
from log_helpers import FAST, MAC, Strange, accepted, state_of

MEBIBYTE = 2**20
PING = b"\x89\x00"
BIG_PING = b"\x89\x7d" + b"p" * 125


def frame(opcode, payload):
    size = bytes((len(payload),)) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2)
    return bytes((0x80 | opcode,)) + size + payload


def without_end(part):
    """Says `part` for ever, as fast as it is read."""

    def behave(opened, request):
        opened.sendall(accepted(request))
        while True:
            opened.sendall(part * 64)
            gevent.sleep(0)

    return behave


@pytest.fixture
def listen(make_fleet, make_service):
    """`service, strange, healthy = listen(behave)`: both monitored, the strange one's log wanted."""
    entered = []

    def build(behave):
        strange = Strange(behave)
        entered.append(strange)
        strange.__enter__()
        fleet = make_fleet("2.12")
        service = make_service(
            fleet, log_policy=FAST, discovery_ports=(strange.port, fleet.miners[0].server.address[1])
        )
        service.imprint(*fleet)
        by_hand = {"devices": [{"mac": MAC, "ip": strange.address}]}
        service.ok(service.client.put("/devices/imprint", json=by_hand))
        service.await_status("online", MAC, *fleet)
        body = {"macs": [MAC, fleet.miners[0].mac], "traceLogs": True}
        service.ok(service.client.put("/devices/listen", json=body))
        eventually(lambda: strange.asked())
        return service, strange, fleet.miners[0]

    yield build
    for strange in entered:
        strange.__exit__()


FLOODS = {
    "pings": without_end(PING),
    "pings with something in them": without_end(BIG_PING),
    "pongs": without_end(frame(0xA, b"x" * 100)),
    "a line without an end": without_end(frame(1, b"x" * 4000)),
    "binary": without_end(frame(2, bytes(range(256)) * 15)),
    "empty frames": without_end(frame(1, b"")),
    "a message without an end": without_end(b"\x00\x7e\x0f\xa0" + b"y" * 4000),
    "lines": without_end(frame(1, b"I (5) tag: said\n" * 100)),
}


@pytest.mark.parametrize("behave", FLOODS.values(), ids=FLOODS)
def test_a_flood_costs_the_polls_nothing_and_little_memory(listen, behave):
    service, _, healthy = listen(behave)
    before = {mac: service.observed(mac) for mac in (MAC, healthy.mac)}
    tracemalloc.start()
    try:
        gevent.sleep(1.1)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert min(service.observed(mac) - was for mac, was in before.items()) >= 1
    assert peak < 4 * MEBIBYTE  # the ring's 256 KiB as objects, and this test's own frames, among it
    assert service.client.get("/healthz", buffered=True).status_code == 200


def test_one_that_ends_at_once_is_tried_ever_more_rarely_and_not_in_step(listen):
    """Full jitter below a ceiling that doubles: here 0.05 to 0.3 s."""
    moments = []

    def behave(opened, request):
        moments.append(time.monotonic())
        opened.sendall(accepted(request))

    service, _, healthy = listen(behave)
    before = service.observed(healthy.mac)
    gevent.sleep(2)
    pauses = [later - earlier for earlier, later in zip(moments, moments[1:], strict=False)]
    assert 4 <= len(pauses) <= 60
    assert len({round(pause, 2) for pause in pauses[2:]}) > 3
    assert service.observed(healthy.mac) - before >= 2
    assert state_of(service, MAC) in ("waiting", "connecting", "streaming")


def test_a_hundred_streams_that_break_leave_nothing(listen):
    def behave(opened, request):
        opened.sendall(accepted(request) + b"\x81\x7e\x40\x00" + b"x" * 100)

    service, strange, healthy = listen(behave)
    hub = service.runtime.log_hub
    tracked = service.runtime.fleet.get(MAC)
    gevent.sleep(0.3)
    with nothing_leaks(files=2):
        for _ in range(30):
            was = len(strange.asked())
            hub.want(tracked, "a test")
            hub.reader_of(MAC).nudge()
            eventually(lambda was=was: len(strange.asked()) > was)
