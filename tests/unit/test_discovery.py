"""Discovery over simulated miners on loopback: built-in, by a discovery service, and the search for one that moved."""

import logging
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network as Net

import gevent
import orjson
import pytest
from floods import probed_loop
from gevent import socket
from gevent.pywsgi import WSGIServer

from app.clients.discovery_service import DiscoveryServiceClient
from app.clients.names import NameResolver
from app.clock import Clock
from app.errors import AddressForbidden, DiscoveryFailed, Invalid, TooSoon
from app.events import EventBus, MinerSeen
from app.miners.address import Address, AddressRule
from app.miners.client import Miners
from app.models import Found, Reading
from app.redaction.json_objects import redact
from app.services.discovery.builtin import BuiltinDiscovery
from app.services.discovery.external import ExternalDiscovery
from app.services.discovery.filters import Partial, Query
from app.services.discovery.locator import Locator
from app.services.discovery.neighbours import NeighbourTable
from app.services.discovery.scanner import Scanner
from app.services.discovery.service import DiscoveryService
from app.services.discovery.sightings import Sightings, identified, without_doubles
from app.store.database import Database
from app.store.discovered import DiscoveredRepository
from simulator import Fleet, MinerSpec, swap

SUBNET = Net("127.62.0.0/28")
ALLOWED = [Net("127.62.0.0/24")]
A, B, C, D = (f"02:00:5e:00:62:0{digit}" for digit in "abcd")
TTL = 3600.0


class HandClock(Clock):
    """The machine's clock, ahead by what the test says."""

    def __init__(self):
        self.ahead = 0.0

    def now(self):
        return datetime.now(UTC) + timedelta(seconds=self.ahead)

    def monotonic(self):
        return super().monotonic() + self.ahead


class DiscoveryTestbed:
    """A testbed: miners at 127.62.0.x, and discovery as the service would wire it."""

    def __init__(self, tmp_path):
        self.tmp_path = tmp_path
        self.clock, self.events, self.seen, self.known = HandClock(), EventBus(), [], {}
        self.events.subscribe(MinerSeen, lambda event: self.seen.append((event.mac, event.address)))
        self.port = free_port()
        self.rule = AddressRule(ALLOWED, [self.port])
        self.arp = tmp_path / "arp"
        self.neighbours = NeighbourTable(self.arp, self.clock)
        self.scanner = Scanner(Miners(self.rule.check, self.clock).probe, self.rule, self.clock, known=self.known.get)
        self.db = Database(tmp_path / "pluto_discovery")
        self.fleet = Fleet([])

    def builtin(self, subnets=(SUBNET,)):
        if not self.db.is_open:
            self.db.open(self.clock)
        repository = DiscoveredRepository(self.db, redact)
        self.sightings = Sightings(self.neighbours, repository, self.events)
        self.source = BuiltinDiscovery(
            self.scanner, self.sightings, repository, self.rule, self.clock, lambda: subnets, [self.port], TTL
        )
        return self._service()

    def external(self, url):
        self.sightings = Sightings(self.neighbours, None, self.events)
        client = DiscoveryServiceClient(url, self.rule, redact, deadline=2)
        self.source = ExternalDiscovery(client, self.scanner, self.sightings)
        return self._service()

    def _service(self):
        locator = Locator(self.scanner, self.neighbours, self.sightings, self.source.addresses_of, [self.port])
        service = DiscoveryService(self.source, locator, NameResolver(self.rule).resolve)
        service.start()
        return service

    def live(self, *specs):
        """`specs`: (last byte of the address, mac, generation)."""
        places = [(self.host(at), self.port) for at, _, _ in specs]
        kinds = [(kind, board(kind), "bitaxe", mac) for _, mac, kind in specs]
        self.fleet = Fleet([MinerSpec(*kind, place) for kind, place in zip(kinds, places, strict=True)])
        self.fleet.start()
        return [self.fleet.find_miner(mac) for _, mac, _ in specs]

    def host(self, at):
        return f"127.62.0.{at}"

    def ip(self, at):
        return f"{self.host(at)}:{self.port}"

    def tell_neighbours(self):
        self.fleet.write_neighbour_table(self.arp)
        self.clock.ahead += 5

    def close(self):
        self.fleet.stop()
        self.db.close()


def board(generation):
    return {"2.1": "0.11", "nerd": "nerdqaxe+"}.get(generation, "601")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.62.0.1", 0))
        return probe.getsockname()[1]


def places(found):
    return {each.mac: each.ip for each in found}


@pytest.fixture
def testbed(tmp_path):
    made = DiscoveryTestbed(tmp_path)
    yield made
    made.close()


def test_a_scan_finds_every_generation_remembers_and_announces(testbed):
    testbed.live((1, A, "2.15"), (2, B, "2.7"), (3, C, "nerd"))
    found = testbed.builtin().discover()
    assert places(found) == {A: testbed.ip(1), B: testbed.ip(2), C: testbed.ip(3)}
    assert sorted(testbed.seen) == sorted(places(found).items())
    assert all(each.first_seen == each.last_seen and each.first_seen.endswith("Z") for each in found)
    assert all(each.info["hostname"] == "bitaxe" and each.type == "unknown" for each in found)
    assert places(testbed.builtin().discovered(Query())) == places(found)


def test_first_seen_stays_while_last_seen_moves(testbed):
    (miner,) = testbed.live((1, A, "2.12"))
    service = testbed.builtin()
    (first,) = service.discover()
    gevent.sleep(0.01)
    (second,) = service.discover()
    assert second.first_seen == first.first_seen and second.last_seen > first.last_seen
    assert miner.requests == {("GET", "/api/system/info"): 2}


def test_the_neighbour_table_names_firmware_that_does_not(testbed):
    testbed.live((1, A, "2.1"), (2, B, "2.12"))
    service = testbed.builtin()
    assert [(each.mac, each.ip) for each in service.discover()] == [(None, testbed.ip(1)), (B, testbed.ip(2))]
    assert places(service.discovered(Query())) == {B: testbed.ip(2)}
    testbed.tell_neighbours()
    assert places(service.discover()) == {A: testbed.ip(1), B: testbed.ip(2)}


def test_one_address(testbed):
    miners = testbed.live((1, A, "2.12"), (2, B, "2.12"))
    service = testbed.builtin()
    assert places(service.discover(ip=testbed.ip(1))) == {A: testbed.ip(1)}
    assert service.discover(ip=testbed.ip(9)) == []
    assert [miner.connections_accepted for miner in miners] == [1, 0]
    assert testbed.seen == [(A, testbed.ip(1))]


def test_a_given_mac_names_only_who_has_none_of_its_own(testbed):
    testbed.live((1, A, "2.1"), (2, B, "2.12"))
    service = testbed.builtin()
    assert places(service.discover(ip=testbed.ip(1), mac="02-00-5E-00-62-0D")) == {D: testbed.ip(1)}
    assert places(service.discover(ip=testbed.ip(2), mac=D)) == {B: testbed.ip(2)}
    assert places(service.lookup([D])) == {D: testbed.ip(1)}


@pytest.mark.parametrize("name", ["localhost", "LocalHost"])
def test_a_name_is_resolved_and_the_address_is_what_is_kept(tmp_path, name):
    """Issue 10, 6. The only name that every machine resolves."""
    testbed = DiscoveryTestbed(tmp_path)
    testbed.rule = AddressRule([Net("127.0.0.1/32")], [testbed.port])
    testbed.scanner = Scanner(Miners(testbed.rule.check, testbed.clock).probe, testbed.rule, testbed.clock)
    testbed.fleet = Fleet([MinerSpec("2.12", "601", "bitaxe", A, ("127.0.0.1", testbed.port))])
    testbed.fleet.start()
    where = f"127.0.0.1:{testbed.port}"
    assert places(testbed.builtin().discover(ip=f" {name}:{testbed.port} ")) == {A: where}
    assert places(testbed.source.lookup([A])) == {A: where}
    testbed.close()


def test_a_name_that_leads_where_no_miners_are_is_refused(testbed):
    with pytest.raises(AddressForbidden, match="ALLOWED_DEVICE_NETWORKS"):
        testbed.builtin().discover(ip="localhost")


def test_a_name_that_does_not_resolve_says_so_and_many_do_not_hold_the_loop(testbed):
    service = testbed.builtin()
    with probed_loop() as probe:
        for asked in [gevent.spawn(service.discover, ip=f"no-miner-{number}.invalid") for number in range(40)]:
            with pytest.raises((Invalid, TooSoon), match="resolved"):
                asked.get(timeout=10)
    assert probe.longest_block < 0.05


def test_a_given_mac_alone_filters(testbed):
    testbed.live((1, A, "2.12"), (2, B, "2.12"))
    service = testbed.builtin()
    assert places(service.discover(mac=B.upper())) == {B: testbed.ip(2)}
    assert service.discover(mac=D) == []
    assert len(service.discover(ip=" ", mac="")) == 2


@pytest.mark.parametrize("ip", ["8.8.8.8", "127.0.0.1", "224.0.0.251", "127.62.0.1:22", "169.254.169.254"])
def test_a_forbidden_address_is_refused(testbed, ip):
    with pytest.raises(AddressForbidden):
        testbed.builtin().discover(ip=ip)


@pytest.mark.parametrize(
    "ask",
    [
        {"ip": "no-miner.invalid"},
        {"ip": "a b"},
        {"ip": "0x7f000001"},
        {"ip": "localhost:0"},
        {"ip": "127.1"},
        {"ip": "fe80::1"},
        {"mac": "5E-00"},
        {"mac": "x"},
    ],
)
def test_what_makes_no_sense_is_invalid(testbed, ask):
    with pytest.raises(Invalid) as caught:
        testbed.builtin().discover(**ask)
    assert list(caught.value.details) == list(ask)


@pytest.mark.parametrize("fault", ["html", "redirect", "status_401", "garbage", "reset", "not_http", "huge"])
def test_what_does_not_answer_like_a_miner_is_not_found(testbed, fault):
    first, _ = testbed.live((1, A, "2.12"), (2, B, "2.12"))
    first.fault = fault
    assert places(testbed.builtin().discover()) == {B: testbed.ip(2)}


def test_one_mac_at_two_addresses_is_one_miner_at_the_known_address(testbed, caplog):
    _, second = testbed.live((5, A, "2.12"), (2, B, "2.12"))
    service = testbed.builtin()
    service.discover(ip=testbed.ip(5))
    second.set_fault("other_mac", mac=A)
    with caplog.at_level(logging.WARNING):
        assert places(service.discover()) == places(service.discover()) == {A: testbed.ip(5)}
    assert [record.mac for record in caplog.records if "several addresses" in record.message] == [A]
    assert testbed.seen[-2:] == [(A, testbed.ip(2)), (A, testbed.ip(5))]


def test_a_monitored_miner_is_listed_without_being_asked(testbed):
    miner, _ = testbed.live((1, A, "2.12"), (2, B, "2.12"))
    testbed.known[Address.parse(testbed.ip(1))] = Reading({"hostname": "polled"}, A, datetime.now(UTC), is_cached=True)
    found = testbed.builtin().discover()
    assert places(found) == {A: testbed.ip(1), B: testbed.ip(2)} and found[0].info == {"hostname": "polled"}
    assert miner.connections_accepted == 0
    assert testbed.seen == [(B, testbed.ip(2))]  # a cached reading is not a sighting


def test_lookup_is_by_whole_macs_in_any_spelling(testbed):
    testbed.live((1, A, "2.12"), (2, B, "2.12"))
    service = testbed.builtin()
    service.discover()
    found = service.lookup([B.upper().replace(":", "-"), A, B, "02:00:5e", "junk", D])
    assert places(found) == {B: testbed.ip(2), A: testbed.ip(1)}
    assert [each.mac for each in service.lookup([B, A, B])] == [B, A]


def test_what_was_seen_can_be_filtered_forgotten_and_expires(testbed):
    testbed.live((1, A, "2.12"), (2, B, "2.12"))
    service = testbed.builtin()
    service.discover()
    assert places(service.discovered(Query(macs=("62-0B",), partial_macs=Partial.LEFT))) == {B: testbed.ip(2)}
    service.forget(B)
    assert places(service.discovered(Query())) == {A: testbed.ip(1)}
    testbed.clock.ahead += TTL - 60
    assert len(service.discovered(Query())) == 1
    testbed.clock.ahead += 120
    assert service.discovered(Query()) == [] == service.lookup([A])


def test_a_host_without_networks_says_so(testbed, caplog):
    assert testbed.builtin(subnets=()).discover() == []
    assert "DISCOVERY_SUBNETS" in caplog.text


def test_a_full_disk_hides_no_miner(testbed, caplog):
    testbed.live((1, A, "2.12"))
    service = testbed.builtin()
    testbed.db.close()
    assert places(service.discover()) == {A: testbed.ip(1)}
    assert testbed.seen == [(A, testbed.ip(1))] and "could not be remembered" in caplog.text


def test_an_announced_miner_is_looked_at_once_in_a_while(testbed):
    (miner,) = testbed.live((1, A, "2.15"))
    service = testbed.builtin()
    for _ in range(3):
        testbed.source.announced(Address.parse(testbed.ip(1)))
    assert miner.connections_accepted == 1
    assert testbed.seen == [(A, testbed.ip(1))] and places(service.lookup([A])) == {A: testbed.ip(1)}
    testbed.clock.ahead += 31
    testbed.source.announced(Address.parse(testbed.ip(1)))
    assert miner.connections_accepted == 2


@pytest.mark.parametrize("announced", ["127.62.0.1:22", "8.8.8.8"])
def test_an_announcement_reaches_only_where_miners_may_be(testbed, announced):
    testbed.builtin()
    with pytest.raises(AddressForbidden):
        testbed.source.announced(Address.parse(announced))


# The search for one that moved.


def test_locate_by_the_neighbour_table_asks_only_there(testbed):
    miner, other = testbed.live((1, A, "2.12"), (2, B, "2.12"))
    testbed.tell_neighbours()
    assert testbed.builtin().locate(A, [SUBNET]) == Address.parse(testbed.ip(1))
    assert (miner.connections_accepted, other.connections_accepted) == (1, 0)


def test_locate_by_the_neighbour_table_works_for_firmware_without_a_mac(testbed):
    testbed.live((1, A, "2.1"))
    testbed.tell_neighbours()
    assert testbed.builtin().locate(A) == Address.parse(testbed.ip(1))


def test_locate_believes_no_stale_entry(testbed):
    miner, other = testbed.live((1, A, "2.12"), (2, B, "2.12"))
    testbed.tell_neighbours()
    service = testbed.builtin()
    service.discover()
    swap(miner, other)
    assert service.locate(A) is None
    assert service.locate(A, [SUBNET]) == Address.parse(testbed.ip(2))
    assert places(service.lookup([A, B])) == {A: testbed.ip(2), B: testbed.ip(1)}


def test_locate_by_what_was_remembered(testbed):
    testbed.live((1, A, "2.12"))
    service = testbed.builtin()
    service.discover()
    testbed.seen.clear()
    assert service.locate(A) == Address.parse(testbed.ip(1)) and testbed.seen == [(A, testbed.ip(1))]


def test_locate_scans_the_subnet_last_and_tells_of_all_it_meets(testbed):
    miner, _ = testbed.live((1, A, "2.12"), (2, B, "2.12"))
    service = testbed.builtin()
    service.discover()
    miner.move((testbed.host(7), testbed.port))
    testbed.seen.clear()
    assert service.locate(A) is None
    assert service.locate(A, [SUBNET]) == Address.parse(testbed.ip(7))
    assert set(testbed.seen) == {(A, testbed.ip(7)), (B, testbed.ip(2))}
    assert service.locate(D, [SUBNET]) is None


# A discovery service.


class Service:
    """A discovery service that holds `rows`; `asked` are (path, query)."""

    def __init__(self):
        self.rows, self.asked = [], []
        self._server = WSGIServer(("127.0.0.1", 0), self._answer, log=None)
        self._server.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def _answer(self, environ, start_response):
        self.asked.append((environ["PATH_INFO"], environ["QUERY_STRING"]))
        start_response("200 OK", [("Content-Type", "application/json")])
        return [orjson.dumps(self.rows)]

    def stop(self):
        self._server.stop()


@pytest.fixture
def service():
    made = Service()
    yield made
    made.stop()


def row(mac, ip="127.62.0.5"):
    return {"ip": ip, "mac": mac, "type": "Espressif Inc.", "info": {"hostname": "bitaxe"}}


def test_a_service_scans_and_what_it_meets_is_announced(testbed, service):
    service.rows = [row(A.upper()), row(None, "127.62.0.6"), row(B, "8.8.8.8")]
    found = testbed.external(service.url).discover()
    assert [(each.mac, each.ip) for each in found] == [(A, "127.62.0.5"), (None, "127.62.0.6")]
    assert testbed.seen == [(A, "127.62.0.5")] and service.asked == [("/discover", "")]


def test_a_service_is_asked_for_one_address(testbed, service):
    service.rows = [row("unknown")]
    found = testbed.external(service.url).discover(ip="127.62.0.5", mac=D.upper())
    assert places(found) == {D: "127.62.0.5"} and testbed.seen == []
    assert service.asked == [("/discover", "ip=127.62.0.5&mac=02%3A00%3A5e%3A00%3A62%3A0d")]


def test_a_service_is_never_sent_to_a_forbidden_address(testbed, service):
    with pytest.raises(AddressForbidden):
        testbed.external(service.url).discover(ip="169.254.169.254")
    assert service.asked == []


def test_filters_hold_even_if_the_service_ignores_them(testbed, service):
    service.rows = [row(A), row(B, "127.62.0.6")]
    found = testbed.external(service.url).discovered(Query(ips=("0.6",), partial_ips=Partial.LEFT))
    assert places(found) == {B: "127.62.0.6"} and testbed.seen == []
    assert service.asked == [("/discovered", "ips=0.6&partialIps=left")]


def test_lookup_does_not_depend_on_the_services_spelling(testbed, service):
    service.rows = [row(A.upper()), row(B, "127.62.0.6")]
    assert places(testbed.external(service.url).lookup([A, D])) == {A: "127.62.0.5"}
    assert service.asked == [("/discovered", "")]


def test_when_the_service_goes_down_what_it_just_said_can_be_imprinted(testbed, service):
    discovery = testbed.external(service.url)
    service.rows = [row(A), row(B, "127.62.0.6")]
    discovery.discover()
    service.stop()
    assert places(discovery.lookup([A])) == {A: "127.62.0.5"}
    for broken in (lambda: discovery.lookup([A, D]), discovery.discover, lambda: discovery.discovered(Query())):
        with pytest.raises(DiscoveryFailed):
            broken()


def test_beside_a_service_a_lost_miner_is_looked_for_all_the_same(testbed, service):
    (miner,) = testbed.live((1, A, "2.12"))
    service.rows = [row(A, testbed.ip(1))]
    discovery = testbed.external(service.url)
    discovery.discover()
    assert discovery.locate(A) == Address.parse(testbed.ip(1))
    miner.move((testbed.host(7), testbed.port))
    assert discovery.locate(A, [SUBNET]) == Address.parse(testbed.ip(7))


def test_stop_ends_a_scan(testbed):
    (miner,) = testbed.live((1, A, "2.12"))
    miner.fault = "hang"
    service = testbed.builtin()
    scan = gevent.spawn(service.discover)
    gevent.sleep(0.2)
    service.stop()
    assert scan.get(timeout=0.5) == []


# Whose MAC it is.


def hit(host, mac=None, port=80):
    return Address(host, port), Reading({}, mac, datetime.now(UTC))


def named(*hits, table, given=None):
    return [found.mac for found in identified(hits, table.get, given)]


def test_the_order_of_sources():
    table = {"10.0.0.1": C}
    assert named(hit("10.0.0.1", A), table=table, given=B) == [A]
    assert named(hit("10.0.0.1"), table=table, given=B) == [B]
    assert named(hit("10.0.0.1"), table=table) == [C]
    assert named(hit("10.0.0.2"), table=table) == [None]


def test_a_neighbour_names_the_miner_on_port_80_or_the_only_one():
    table = {"10.0.0.1": C}
    assert named(hit("10.0.0.1", port=8101), table=table) == [C]
    assert named(hit("10.0.0.1", port=8101), hit("10.0.0.1", port=8102), table=table) == [None, None]
    assert named(hit("10.0.0.1"), hit("10.0.0.1", port=8101), table=table) == [C, None]


def test_a_neighbour_that_two_share_names_nobody():
    assert named(hit("10.0.0.1"), hit("10.0.0.2"), table={"10.0.0.1": C, "10.0.0.2": C}) == [None, None]
    assert named(hit("10.0.0.1", C), hit("10.0.0.2"), table={"10.0.0.2": C}) == [C, None]


def test_of_doubles_the_known_address_stays_else_the_first():
    one, two, nobody = Found(A, "10.0.0.1", {}), Found(A, "10.0.0.2", {}), Found(None, "10.0.0.3", {})
    assert without_doubles([one, nobody, two, nobody], {A: "10.0.0.2"}.get) == [nobody, two, nobody]
    assert without_doubles([one, two], {A: "10.0.0.9"}.get) == [one]
