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
from app.miners.client import Miners
from app.models import Reading
from app.services.discovery.scanner import Scanner, size, targets

LOOPBACK = AddressRule([Net("127.0.0.0/8")], range(1024, 65536))
SUBNET = Net("127.61.1.0/24")


def body(mac="02:00:5E:00:00:01"):
    return {"ASICModel": "BM1370", "hashRate": 1.5, "version": "v2.12.2", "macAddr": mac, "hostname": "bitaxe"}


def http(payload, status="200 OK", headers=""):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(payload)}\r\n{headers}\r\n".encode() + payload


class HandClock(Clock):
    """Time that the test moves."""

    at = 0.0

    def monotonic(self):
        return self.at


class Listeners:
    """Plain servers that give every connection one answer; `opened` lists the hosts that were connected to."""

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
            sock.sendall(answer if answer is not None else http(orjson.dumps(body())))
            sock.close()

        server = StreamServer((host, self.port), serve)
        server.start()
        self.port = server.server_port
        self._stack.callback(server.stop)

    def close(self):
        self._stack.close()


@pytest.fixture
def listeners():
    made = Listeners()
    yield made
    made.close()


def scanner_of(probe=None, rule=LOOPBACK, **options):
    clock = Clock()
    return Scanner(probe or partial(Miners(rule.check, clock).probe, deadline=0.6), rule, clock, **options)


def hosts(hits):
    return [address.host for address, _ in hits]


def test_network_and_broadcast_are_left_out():
    assert [each.host for each in targets([Net("10.0.0.0/30")], [80])] == ["10.0.0.1", "10.0.0.2"]
    assert [each.host for each in targets([Net("10.0.0.0/31")], [80])] == ["10.0.0.0", "10.0.0.1"]
    assert [each.host for each in targets([Net("10.0.0.7/32")], [80])] == ["10.0.0.7"]


def test_subnets_are_interleaved_and_none_is_asked_twice():
    nets = [Net("10.0.0.0/24"), Net("10.0.1.0/30"), Net("10.0.0.0/30"), Net("10.0.1.0/30")]
    found = list(targets(nets, [80, 8101]))
    assert [each.host for each in found[:4]] == ["10.0.0.1", "10.0.1.1", "10.0.0.2", "10.0.1.2"]
    assert len(found) == len(set(found)) == size(nets, [80, 8101]) == 2 * (254 + 2)


def test_finds_the_miners_of_a_24_with_one_connection_each(listeners):
    listeners.add("127.61.1.1")
    for last in range(2, 41):
        listeners.add(f"127.61.1.{last * 6}")
    started = time.monotonic()
    hits = scanner_of().scan([SUBNET], [listeners.port])
    assert time.monotonic() - started < 3
    assert hosts(hits) == hosts(sorted(hits)) and len(hits) == 40
    assert sorted(listeners.opened) == sorted(hosts(hits))
    assert hits[0][1].mac == "02:00:5e:00:00:01" and hits[0][0] == Address("127.61.1.1", listeners.port)


@pytest.mark.parametrize(
    "answer",
    [
        http(b"<html><title>router</title></html>", headers="Content-Type: text/html\r\n"),
        http(orjson.dumps({"name": "Philips hue", "bridgeid": "001788"})),
        http(orjson.dumps([body()])),
        http(b"", "302 Found", "Location: http://127.61.1.9/\r\n"),
        http(b"Unauthorized", "401 Unauthorized"),
        http(b"{}", "404 Not Found"),
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
    ],
)
def test_other_servers_are_no_hits(listeners, answer):
    listeners.add("127.61.1.1", answer)
    listeners.add("127.61.1.5")
    assert hosts(scanner_of().scan([Net("127.61.1.0/28")], [listeners.port])) == ["127.61.1.5"]
    assert sorted(listeners.opened) == ["127.61.1.1", "127.61.1.5"]


def test_a_host_that_hangs_holds_up_nobody(listeners):
    listeners.add("127.61.1.1", hang=True)
    listeners.add("127.61.1.5")
    started = time.monotonic()
    assert hosts(scanner_of(concurrency=2).scan([Net("127.61.1.0/28")], [listeners.port])) == ["127.61.1.5"]
    assert time.monotonic() - started < 2


def test_forbidden_addresses_are_never_connected_to(listeners):
    listeners.add("127.61.1.2")
    listeners.add("127.61.1.5")
    probe = partial(Miners(LOOPBACK.check, Clock()).probe, deadline=0.6)
    scanner = scanner_of(probe, rule=AddressRule([Net("127.61.1.4/30")]))
    assert hosts(scanner.scan([Net("127.61.1.0/28")], [listeners.port])) == ["127.61.1.5"]
    assert listeners.opened == ["127.61.1.5"]


def test_a_miner_that_the_fleet_knows_is_not_asked_again(listeners):
    listeners.add("127.61.1.1")
    listeners.add("127.61.1.5")
    known = Reading(body(), "02:00:5e:00:00:77", datetime.now(UTC))
    there = Address("127.61.1.1", listeners.port)
    hits = scanner_of(known={there: known}.get).scan([Net("127.61.1.0/29")], [listeners.port])
    assert dict(hits)[there] is known and len(hits) == 2
    assert listeners.opened == ["127.61.1.5"]


def test_a_scan_returns_what_it_has_at_its_deadline_and_says_what_was_left(caplog):
    def probe(address):
        if address.host == "127.61.1.3":
            return Reading(body(), None, datetime.now(UTC))
        gevent.sleep(30)
        raise AssertionError

    started = time.monotonic()
    with caplog.at_level(logging.WARNING):
        hits = scanner_of(probe, concurrency=8, deadline=0.3).scan([SUBNET], [80])
    assert 0.2 < time.monotonic() - started < 1
    assert hosts(hits) == ["127.61.1.3"]
    assert [record.outcomes["left"] for record in caplog.records] == [253]


def test_quick_probes_do_not_outrun_the_deadline():
    asked = []

    def probe(address):
        asked.append(address)
        gevent.sleep(0.05)
        raise DeviceUnreachable("nobody")

    assert scanner_of(probe, concurrency=2, deadline=0.2).scan([SUBNET], [80]) == []
    assert 2 <= len(asked) <= 12


def test_nothing_is_begun_after_the_deadline():
    asked, clock = [], HandClock()

    def probe(address):
        asked.append(address)
        clock.at += 1.0
        raise DeviceUnreachable("nobody")

    assert Scanner(probe, LOOPBACK, clock, concurrency=1, deadline=5.0).scan([SUBNET], [80]) == []
    assert len(asked) == 5


def test_who_asks_for_the_running_scan_shares_it(listeners):
    listeners.add("127.61.1.1")
    scanner = scanner_of()
    callers = [gevent.spawn(scanner.scan, [Net("127.61.1.0/29")], [listeners.port]) for _ in range(5)]
    gevent.joinall(callers)
    assert [hosts(caller.get()) for caller in callers] == [["127.61.1.1"]] * 5
    assert listeners.opened == ["127.61.1.1"]
    scanner.scan([Net("127.61.1.0/29")], [listeners.port])
    assert len(listeners.opened) == 2


def test_a_caller_that_goes_away_does_not_end_the_others_scan(listeners):
    listeners.add("127.61.1.1")
    scanner = scanner_of()
    first, second = (gevent.spawn(scanner.scan, [Net("127.61.1.0/29")], [listeners.port]) for _ in range(2))
    gevent.sleep(0)
    first.kill()
    assert hosts(second.get()) == ["127.61.1.1"]


def test_different_scans_take_turns():
    under_way, most = set(), []

    def probe(address):
        under_way.add(address)
        most.append({each.host.rsplit(".", 1)[0] for each in under_way})
        gevent.sleep(0.05)
        under_way.discard(address)
        raise DeviceUnreachable("nobody")

    scanner = scanner_of(probe)
    gevent.joinall([gevent.spawn(scanner.scan, [Net(f"127.61.{third}.0/29")], [80]) for third in (1, 2, 3)])
    assert len(most) == 18 and all(len(subnets) == 1 for subnets in most)


def test_after_stop_nothing_is_under_way():
    under_way = []

    def probe(address):
        under_way.append(address)
        try:
            gevent.sleep(30)
        finally:
            under_way.remove(address)
        raise AssertionError

    scanner = scanner_of(probe)
    callers = [gevent.spawn(scanner.scan, [Net(f"127.61.{third}.0/29")], [80]) for third in (1, 1, 2)]
    gevent.sleep(0.05)
    assert len(under_way) == 6
    scanner.stop()
    assert under_way == []
    assert [caller.get(timeout=1) for caller in callers] == [[], [], []]
    scanner.stop()


def test_a_probe_that_breaks_costs_only_its_address(caplog):
    def probe(address):
        if address.host.endswith(".1"):
            raise RuntimeError("a defect")
        return Reading(body(), None, datetime.now(UTC))

    assert hosts(scanner_of(probe).scan([Net("127.61.1.0/30")], [80])) == ["127.61.1.2"]
    assert "a probe broke" in caplog.text
    caplog.clear()


def test_addresses_that_answer_401_are_told_once(caplog, listeners):
    listeners.add("127.61.1.1", http(b"Unauthorized", "401 Unauthorized", "Content-Type: text/html\r\n"))
    scanner = scanner_of()
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            scanner.scan([Net("127.61.1.0/30")], [listeners.port])
    assert [record.outcomes["refused"] for record in caplog.records] == [1]
