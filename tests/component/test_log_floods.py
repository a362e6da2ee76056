"""A log stream that floods, sent from another process, delays neither the event loop nor `/healthz` nor polls."""

import time

import gevent
import pytest
from flood_peer import LOG_LINES
from floods import probe_loop, start_flood_server
from log_helpers import FAST_POLICY, MAC

LONGEST_BLOCK = 0.05
LONGEST_HEALTHZ = 0.1
MAX_MEMORY_GROWTH = 20 * 2**20
STREAMS = [
    *("log-header", "log-header-lines", "log-status-line", "log-tiny-frames", "log-empty-frames"),
    *("log-pings", "log-pongs", *(f"log-{name}" for name in LOG_LINES)),
]


@pytest.fixture
def flood_testbed(make_fleet, make_service):
    """`service, healthy = flood_testbed(port)`: the flooding miner and a healthy one are polled; no log is followed
    yet."""

    def build(port, **settings):
        fleet = make_fleet("2.12")
        ports = (port, fleet.miners[0].server.address[1])
        service = make_service(fleet, log_policy=FAST_POLICY, discovery_ports=ports, **settings)
        service.imprint_miners(*fleet)
        registration = {"devices": [{"mac": MAC, "ip": f"127.0.0.1:{port}"}]}
        service.read_data(service.client.put("/devices/imprint", json=registration))
        service.wait_for_status("online", MAC, *fleet)
        return service, fleet.miners[0]

    yield build


def assert_responsive(service, probe, healthy, act):
    """Run `act`, then request `/healthz` for 1.5 s while both miners are polled, and check the limits."""
    before = {mac: service.count_observations(mac) for mac in (MAC, healthy.mac)}
    worst = 0.0
    act()
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        cpu = time.thread_time()
        assert service.client.get("/healthz", buffered=True).status_code == 200
        worst = max(worst, time.thread_time() - cpu)
        gevent.sleep(0.02)
    measurements = f"block {probe.longest_block:.3f} healthz {worst:.3f} memory {probe.memory_growth / 2**20:.1f} MiB"
    print(measurements)
    assert probe.longest_block <= LONGEST_BLOCK
    assert worst <= LONGEST_HEALTHZ
    assert probe.memory_growth <= MAX_MEMORY_GROWTH
    after = {mac: service.count_observations(mac) for mac in before}
    assert all(after[mac] > was for mac, was in before.items()), (before, after)


@pytest.mark.parametrize("files", [False, True], ids=["no files", "LOG_FILES"])
@pytest.mark.parametrize("mode", STREAMS)
def test_flooding_log_stream_does_not_delay_others(flood_testbed, mode, files):
    with start_flood_server(mode) as port:
        service, healthy = flood_testbed(port, log_files=files)
        listen = {"macs": [MAC, healthy.mac], "traceLogs": True}
        with probe_loop() as probe:
            follow_logs = lambda: service.read_data(service.client.put("/devices/listen", json=listen))  # noqa: E731
            assert_responsive(service, probe, healthy, follow_logs)


@pytest.mark.parametrize("name", LOG_LINES)
def test_expensive_log_backfill_does_not_delay_others(flood_testbed, name):
    with start_flood_server(f"past-{name}") as port:
        service, healthy = flood_testbed(port)
        with probe_loop() as probe:

            def download():
                assert service.client.get(f"/devices/{MAC}/logs/download", buffered=True).status_code == 200

            assert_responsive(service, probe, healthy, download)


def test_handshake_status_line_is_not_logged(flood_testbed, caplog):
    with start_flood_server("log-status-line") as port:
        service, healthy = flood_testbed(port)
        service.read_data(service.client.put("/devices/listen", json={"macs": [MAC], "traceLogs": True}))
        gevent.sleep(1)
        page = service.client.get(f"/devices/{MAC}/logs").get_data(as_text=True)
        assert service.runtime.log_hub.find_reader(MAC).error is not None
    assert "hunter22" not in page + caplog.text
    assert len(page) < 20_000
