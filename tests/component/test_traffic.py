"""The load on a miner: one request at a time, one connection where that is safe, and its own polling grid (users' first
demand: do not kill the ESP32 with polling)."""

import gevent
import pytest
from fakes import ScriptedServer, wait_until

from simulator import Timings


def test_hanging_miner_does_not_delay_24_others(make_fleet, make_service):
    """The test runs in real time: two polls a second, of which the hanging one takes 0.4 s of each half second."""
    fleet = make_fleet(*["2.12", "2.15", "2.4", "nerd", "2.10"] * 5)
    service = make_service(fleet)
    service.imprint_miners(*fleet)
    victim, *healthy = fleet
    service.wait_for_status("online", *fleet)
    victim.fault = "hang"
    before = {miner.mac: service.count_observations(miner.mac) for miner in healthy}
    gevent.sleep(4)
    polls = [service.count_observations(miner.mac) - before[miner.mac] for miner in healthy]
    assert min(polls) >= 5
    assert max(polls) <= 9
    assert service.get_status(victim.mac) == "offline"
    assert max(miner.max_in_flight for miner in fleet) == 1


def test_polls_are_spread_over_interval(make_fleet, make_service, clock):
    """Defect 30: all polls of the Node backend began at the same moment."""
    fleet = make_fleet(*["2.12"] * 24, clock=clock.monotonic)
    service = make_service(fleet, clock=clock)
    service.imprint_miners(*fleet)
    service.run_polls(2)
    per_step = []
    for _ in range(10):
        before = len(service.events)
        service.run_polls(0.1, steps=10)
        per_step.append(len(service.events) - before)
    assert sum(per_step) == 24
    assert max(per_step) <= 8
    assert len([polls for polls in per_step if polls]) >= 6


def test_each_miner_keeps_its_own_polling_grid(make_fleet, make_service, clock):
    """Missed slots are skipped, not caught up: after a stall no miner is polled twice in a row."""
    fleet = make_fleet(*["2.12"] * 5, clock=clock.monotonic)
    service = make_service(fleet, clock=clock)
    service.imprint_miners(*fleet)
    service.run_polls(2)
    before = [miner.requests["GET", "/api/system/info"] for miner in fleet]
    service.clock.advance(100)
    service.wait_until_idle()
    assert [miner.requests["GET", "/api/system/info"] - was for miner, was in zip(fleet, before, strict=True)] == [
        1
    ] * 5


def test_scan_sends_no_request_to_polled_miners(make_fleet, make_service, clock):
    fleet = make_fleet(*["2.12", "2.4"] * 3, clock=clock.monotonic)
    service = make_service(fleet, clock=clock)
    service.imprint_miners(*list(fleet)[:4])
    service.run_polls(2)
    before = [miner.requests.total() for miner in fleet]
    found = service.read_data(service.client.get("/devices/discover"))
    assert {each["mac"] for each in found} == {miner.mac for miner in fleet}
    assert [miner.requests.total() - was for miner, was in zip(fleet, before, strict=True)] == [0, 0, 0, 0, 1, 1]


def test_commands_scans_and_polls_share_one_slot_per_miner(make_fleet, make_service):
    fleet = make_fleet("2.12", timings=Timings(latency=0.05, boot=0.2))
    (miner,) = fleet
    service = make_service(fleet)
    service.imprint_miners(miner)
    service.wait_for_status("online", miner)
    requests = [lambda: service.app.test_client().get(f"/devices/discover?ip={miner.address}") for _ in range(4)]
    requests.append(lambda: service.app.test_client().post(f"/devices/{miner.mac}/system/restart"))
    gevent.joinall([gevent.spawn(send_request) for send_request in requests], timeout=10, raise_error=True)
    assert miner.max_in_flight == 1


@pytest.mark.parametrize("generation", ["2.10", "2.15"])
def test_purged_keep_alive_connection_does_not_fail_the_poll(make_fleet, make_service, clock, generation):
    """The miner closes the least recently used socket when others take all twenty: the GET is repeated once on a new
    connection."""
    fleet = make_fleet(generation, clock=clock.monotonic)
    service = make_service(fleet, clock=clock)
    service.imprint_miners(fleet[0])
    service.run_polls(3)
    accepted, polls = fleet[0].connections_accepted, service.count_observations(fleet[0].mac)
    for connection in list(fleet[0].server.connections):
        connection.close()
    service.run_polls()
    assert service.count_observations(fleet[0].mac) == polls + 1
    assert fleet[0].connections_accepted == accepted + 1
    assert service.get_status(fleet[0].mac) == "online"


def test_requests_have_no_origin_and_short_headers(make_service):
    """The firmware rejects callers with an Origin, and before 2.10 headers over 512 bytes."""
    body = b'{"ASICModel":"BM1366","version":"v2.4.5","macAddr":"02:00:5E:00:00:77","hashRate":1}'
    reply = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    def respond(opened):
        peer.read_request(opened)
        opened.sendall(reply)
        opened.close()

    with ScriptedServer(respond) as peer:
        service = make_service(discovery_ports=(peer.port,))
        device = {"mac": "02:00:5e:00:00:77", "ip": f"127.0.0.1:{peer.port}"}
        service.read_data(service.client.put("/devices/imprint", json={"devices": [device]}))
        request = wait_until(lambda: peer.requests and peer.requests[0])
        service.wait_for_status("online", device["mac"])
        service.stop()
    head = request.decode().lower()
    assert head.startswith("get /api/system/info http/1.1\r\n")
    assert f"host: 127.0.0.1:{peer.port}" in head
    assert "origin" not in head
    assert len(request) < 300
