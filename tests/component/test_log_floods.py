"""One miner's log, whatever it sends from a process of its own, delays nobody: the event loop, `/healthz`, polls."""

import time

import gevent
import pytest
from flood_peer import LOG_LINES
from floods import flood_server, probed_loop
from log_helpers import FAST, MAC

LONGEST_BLOCK = 0.05
LONGEST_HEALTHZ = 0.1
MEMORY = 20 * 2**20
STREAMS = [
    *("log-header", "log-header-lines", "log-status-line", "log-tiny-frames", "log-empty-frames"),
    *("log-pings", "log-pongs", *(f"log-{name}" for name in LOG_LINES)),
]


@pytest.fixture
def flooded(make_fleet, make_service):
    """`service, healthy = flooded(port)`: the flooding miner and a healthy one are polled; no log is wanted yet."""

    def build(port, **settings):
        fleet = make_fleet("2.12")
        ports = (port, fleet.miners[0].server.address[1])
        service = make_service(fleet, log_policy=FAST, discovery_ports=ports, **settings)
        service.imprint(*fleet)
        by_hand = {"devices": [{"mac": MAC, "ip": f"127.0.0.1:{port}"}]}
        service.ok(service.client.put("/devices/imprint", json=by_hand))
        service.await_status("online", MAC, *fleet)
        return service, fleet.miners[0]

    yield build


def require_calm(service, probe, healthy, act):
    """`act`, then 1.5 s in which `/healthz` is asked and both miners are polled."""
    before = {mac: service.observed(mac) for mac in (MAC, healthy.mac)}
    worst = 0.0
    act()
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        cpu = time.thread_time()
        assert service.client.get("/healthz", buffered=True).status_code == 200
        worst = max(worst, time.thread_time() - cpu)
        gevent.sleep(0.02)
    figures = f"block {probe.longest_block:.3f} healthz {worst:.3f} memory {probe.memory_growth / 2**20:.1f} MiB"
    print(figures)
    assert probe.longest_block <= LONGEST_BLOCK
    assert worst <= LONGEST_HEALTHZ
    assert probe.memory_growth <= MEMORY
    after = {mac: service.observed(mac) for mac in before}
    assert all(after[mac] > was for mac, was in before.items()), (before, after)


@pytest.mark.parametrize("files", [False, True], ids=["no files", "LOG_FILES"])
@pytest.mark.parametrize("mode", STREAMS)
def test_a_flooding_log_stream_delays_nobody(flooded, mode, files):
    with flood_server(mode) as port:
        service, healthy = flooded(port, log_files=files)
        listen = {"macs": [MAC, healthy.mac], "traceLogs": True}
        with probed_loop() as probe:
            put = lambda: service.ok(service.client.put("/devices/listen", json=listen))  # noqa: E731
            require_calm(service, probe, healthy, put)


@pytest.mark.parametrize("name", LOG_LINES)
def test_a_costly_log_of_the_past_delays_nobody(flooded, name):
    with flood_server(f"past-{name}") as port:
        service, healthy = flooded(port)
        with probed_loop() as probe:

            def download():
                assert service.client.get(f"/devices/{MAC}/logs/download", buffered=True).status_code == 200

            require_calm(service, probe, healthy, download)


def test_a_status_line_of_the_handshake_is_not_quoted(flooded, caplog):
    with flood_server("log-status-line") as port:
        service, healthy = flooded(port)
        service.ok(service.client.put("/devices/listen", json={"macs": [MAC], "traceLogs": True}))
        gevent.sleep(1)
        page = service.client.get(f"/devices/{MAC}/logs").get_data(as_text=True)
        assert service.runtime.log_hub.reader_of(MAC).error is not None
    assert "hunter22" not in page + caplog.text
    assert len(page) < 20_000
