"""Scans over real loopback sockets, with the real client as the probe."""

import logging
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from ipaddress import IPv4Network as Net

import gevent
import orjson
import pytest
from gevent.server import StreamServer

from app.clock import Clock
from app.errors import DeviceUnreachable
from app.miners.address import Address, AddressRule
from app.miners.device_client import MinerRegistry
from app.models import Reading
from app.services.discovery.scanner import Scanner, count_targets, scan_targets

LOOPBACK = AddressRule([Net("127.0.0.0/8")], range(1024, 65536))
SUBNET = Net("127.61.1.0/24")


def make_info(mac="02:00:5E:00:00:01"):
    return {"ASICModel": "BM1370", "hashRate": 1.5, "version": "v2.12.2", "macAddr": mac, "hostname": "bitaxe"}


def make_response(payload, status="200 OK", headers=""):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(payload)}\r\n{headers}\r\n".encode() + payload


class ManualClock(Clock):
    """A clock that the test advances."""

    at = 0.0

    def monotonic(self):
        return self.at


class Listeners:
    """Servers that give each connection one response; `opened` lists the hosts that received a connection."""

    def __init__(self):
        self.opened = []
        self.port = 0
        self._stack = ExitStack()

    def add(self, host, answer=None, hang=False):
        def serve(sock, _peer):
            self.opened.append(host)
            sock.recv(4096)
            if hang:
                gevent.sleep(30)
            sock.sendall(answer if answer is not None else make_response(orjson.dumps(make_info())))
            sock.close()

        server = StreamServer((host, self.port), serve)
        server.start()
        self.port = server.server_port
        self._stack.callback(server.stop)

    def close(self):
        self._stack.close()


@pytest.fixture
def listeners():
    created = Listeners()
    yield created
    created.close()


def make_scanner(probe=None, rule=LOOPBACK, **options):
    clock = Clock()
    return Scanner(
        probe or partial(MinerRegistry(rule.check_address, clock).probe_address, deadline=0.6), rule, clock, **options
    )


def list_hosts(hits):
    return [address.host for address, _ in hits]


def test_network_and_broadcast_addresses_are_left_out():
    assert [each.host for each in scan_targets([Net("10.0.0.0/30")], [80])] == ["10.0.0.1", "10.0.0.2"]
    assert [each.host for each in scan_targets([Net("10.0.0.0/31")], [80])] == ["10.0.0.0", "10.0.0.1"]
    assert [each.host for each in scan_targets([Net("10.0.0.7/32")], [80])] == ["10.0.0.7"]


def test_subnets_are_interleaved_without_duplicates():
    nets = [Net("10.0.0.0/24"), Net("10.0.1.0/30"), Net("10.0.0.0/30"), Net("10.0.1.0/30")]
    found = list(scan_targets(nets, [80, 8101]))
    assert [each.host for each in found[:4]] == ["10.0.0.1", "10.0.1.1", "10.0.0.2", "10.0.1.2"]
    assert len(found) == len(set(found)) == count_targets(nets, [80, 8101]) == 2 * (254 + 2)


def test_scan_of_a_24_finds_miners_with_one_connection_each(listeners):
    listeners.add("127.61.1.1")
    for last in range(2, 41):
        listeners.add(f"127.61.1.{last * 6}")
    started = time.monotonic()
    hits = make_scanner().scan_subnets([SUBNET], [listeners.port])
    assert time.monotonic() - started < 3
    assert list_hosts(hits) == list_hosts(sorted(hits)) and len(hits) == 40
    assert sorted(listeners.opened) == sorted(list_hosts(hits))
    assert hits[0][1].mac == "02:00:5e:00:00:01" and hits[0][0] == Address("127.61.1.1", listeners.port)


@pytest.mark.parametrize(
    "answer",
    [
        make_response(b"<html><title>router</title></html>", headers="Content-Type: text/html\r\n"),
        make_response(orjson.dumps({"name": "Philips hue", "bridgeid": "001788"})),
        make_response(orjson.dumps([make_info()])),
        make_response(b"", "302 Found", "Location: http://127.61.1.9/\r\n"),
        make_response(b"Unauthorized", "401 Unauthorized"),
        make_response(b"{}", "404 Not Found"),
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
    ],
)
def test_other_servers_are_not_found(listeners, answer):
    listeners.add("127.61.1.1", answer)
    listeners.add("127.61.1.5")
    assert list_hosts(make_scanner().scan_subnets([Net("127.61.1.0/28")], [listeners.port])) == ["127.61.1.5"]
    assert sorted(listeners.opened) == ["127.61.1.1", "127.61.1.5"]


def test_hanging_host_does_not_delay_the_scan(listeners):
    listeners.add("127.61.1.1", hang=True)
    listeners.add("127.61.1.5")
    started = time.monotonic()
    assert list_hosts(make_scanner(concurrency=2).scan_subnets([Net("127.61.1.0/28")], [listeners.port])) == [
        "127.61.1.5"
    ]
    assert time.monotonic() - started < 2


def test_forbidden_addresses_are_not_contacted(listeners):
    listeners.add("127.61.1.2")
    listeners.add("127.61.1.5")
    probe = partial(MinerRegistry(LOOPBACK.check_address, Clock()).probe_address, deadline=0.6)
    scanner = make_scanner(probe, rule=AddressRule([Net("127.61.1.4/30")]))
    assert list_hosts(scanner.scan_subnets([Net("127.61.1.0/28")], [listeners.port])) == ["127.61.1.5"]
    assert listeners.opened == ["127.61.1.5"]


def test_monitored_miner_is_not_probed(listeners):
    listeners.add("127.61.1.1")
    listeners.add("127.61.1.5")
    known_reading = Reading(make_info(), "02:00:5e:00:00:77", datetime.now(UTC))
    known_address = Address("127.61.1.1", listeners.port)
    hits = make_scanner(known={known_address: known_reading}.get).scan_subnets([Net("127.61.1.0/29")], [listeners.port])
    assert dict(hits)[known_address] is known_reading and len(hits) == 2
    assert listeners.opened == ["127.61.1.5"]


def test_scan_at_deadline_returns_hits_and_logs_rest(caplog):
    def probe(address):
        if address.host == "127.61.1.3":
            return Reading(make_info(), None, datetime.now(UTC))
        gevent.sleep(30)
        raise AssertionError

    started = time.monotonic()
    with caplog.at_level(logging.WARNING):
        hits = make_scanner(probe, concurrency=8, deadline=0.3).scan_subnets([SUBNET], [80])
    assert 0.2 < time.monotonic() - started < 1
    assert list_hosts(hits) == ["127.61.1.3"]
    assert [record.outcomes["left"] for record in caplog.records] == [253]


def test_quick_probes_end_at_deadline():
    probed = []

    def probe(address):
        probed.append(address)
        gevent.sleep(0.05)
        raise DeviceUnreachable("no answer")

    assert make_scanner(probe, concurrency=2, deadline=0.2).scan_subnets([SUBNET], [80]) == []
    assert 2 <= len(probed) <= 12


def test_no_probe_starts_after_deadline():
    probed, clock = [], ManualClock()

    def probe(address):
        probed.append(address)
        clock.at += 1.0
        raise DeviceUnreachable("no answer")

    assert Scanner(probe, LOOPBACK, clock, concurrency=1, deadline=5.0).scan_subnets([SUBNET], [80]) == []
    assert len(probed) == 5


def test_concurrent_callers_share_one_scan(listeners):
    listeners.add("127.61.1.1")
    scanner = make_scanner()
    callers = [gevent.spawn(scanner.scan_subnets, [Net("127.61.1.0/29")], [listeners.port]) for _ in range(5)]
    gevent.joinall(callers)
    assert [list_hosts(caller.get()) for caller in callers] == [["127.61.1.1"]] * 5
    assert listeners.opened == ["127.61.1.1"]
    scanner.scan_subnets([Net("127.61.1.0/29")], [listeners.port])
    assert len(listeners.opened) == 2


def test_killed_caller_does_not_end_shared_scan(listeners):
    listeners.add("127.61.1.1")
    scanner = make_scanner()
    first, second = (gevent.spawn(scanner.scan_subnets, [Net("127.61.1.0/29")], [listeners.port]) for _ in range(2))
    gevent.sleep(0)
    first.kill()
    assert list_hosts(second.get()) == ["127.61.1.1"]


def test_different_scans_run_one_after_the_other():
    in_progress, snapshots = set(), []

    def probe(address):
        in_progress.add(address)
        snapshots.append({each.host.rsplit(".", 1)[0] for each in in_progress})
        gevent.sleep(0.05)
        in_progress.discard(address)
        raise DeviceUnreachable("no answer")

    scanner = make_scanner(probe)
    gevent.joinall([gevent.spawn(scanner.scan_subnets, [Net(f"127.61.{third}.0/29")], [80]) for third in (1, 2, 3)])
    assert len(snapshots) == 18 and all(len(subnets) == 1 for subnets in snapshots)


def test_stop_ends_all_probes():
    in_progress = []

    def probe(address):
        in_progress.append(address)
        try:
            gevent.sleep(30)
        finally:
            in_progress.remove(address)
        raise AssertionError

    scanner = make_scanner(probe)
    callers = [gevent.spawn(scanner.scan_subnets, [Net(f"127.61.{third}.0/29")], [80]) for third in (1, 1, 2)]
    gevent.sleep(0.05)
    assert len(in_progress) == 6
    scanner.stop()
    assert in_progress == []
    assert [caller.get(timeout=1) for caller in callers] == [[], [], []]
    scanner.stop()


def test_failed_probe_loses_only_its_address(caplog):
    def probe(address):
        if address.host.endswith(".1"):
            raise RuntimeError("a defect")
        return Reading(make_info(), None, datetime.now(UTC))

    assert list_hosts(make_scanner(probe).scan_subnets([Net("127.61.1.0/30")], [80])) == ["127.61.1.2"]
    assert "a probe broke" in caplog.text
    caplog.clear()


def test_addresses_that_answer_401_are_logged_once(caplog, listeners):
    listeners.add("127.61.1.1", make_response(b"Unauthorized", "401 Unauthorized", "Content-Type: text/html\r\n"))
    scanner = make_scanner()
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            scanner.scan_subnets([Net("127.61.1.0/30")], [listeners.port])
    assert [record.outcomes["refused"] for record in caplog.records] == [1]
