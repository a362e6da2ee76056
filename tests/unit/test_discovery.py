"""Discovery over simulated miners on loopback: built-in, by a discovery service, and the search for a moved miner."""

import logging
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network as Net

import gevent
import orjson
import pytest
from fakes import wait_until
from floods import probe_loop
from gevent import socket
from gevent.pywsgi import WSGIServer

from app.clients.discovery_service import DiscoveryServiceClient
from app.clients.name_resolver import NameResolver
from app.clock import Clock
from app.errors import AddressForbidden, DiscoveryFailed, Invalid, RetryLater
from app.events import EventBus, MinerSeen, ScanUpdated
from app.miners.address import Address, AddressRule
from app.miners.device_client import MinerRegistry
from app.models import DiscoveredMiner, Reading
from app.redaction.json_objects import redact_object
from app.services.devices.fleet import Fleet as DeviceFleet
from app.services.discovery.builtin import BuiltinDiscovery
from app.services.discovery.external import ExternalDiscovery
from app.services.discovery.filters import DiscoveryQuery, PartialMatch
from app.services.discovery.locator import Locator
from app.services.discovery.neighbours import NeighbourTable
from app.services.discovery.scanner import Scanner
from app.services.discovery.service import DiscoveryService
from app.services.discovery.sightings import Sightings, identify_hits, remove_duplicates
from app.services.scans.ignored import IgnoredMiners
from app.services.scans.scan_state import ScanStatus
from app.services.scans.service import NO_NETWORK, NetworkScans
from app.store.database import Database
from app.store.devices import DeviceRepository
from app.store.discovered import DiscoveredRepository
from app.store.documents import Documents
from simulator import Fleet, MinerSpec, swap

SUBNET = Net("127.62.0.0/28")
ALLOWED = [Net("127.62.0.0/24")]
A, B, C, D = (f"02:00:5e:00:62:0{digit}" for digit in "abcd")
TTL = 3600.0


class OffsetClock(Clock):
    """The machine's clock, ahead by the offset that the test sets."""

    def __init__(self):
        self.ahead = 0.0

    def now(self):
        return datetime.now(UTC) + timedelta(seconds=self.ahead)

    def monotonic(self):
        return super().monotonic() + self.ahead


class DiscoveryTestbed:
    """Miners at 127.62.0.x, and discovery wired as in the service."""

    def __init__(self, tmp_path):
        self.tmp_path = tmp_path
        self.clock, self.events, self.seen, self.known = OffsetClock(), EventBus(), [], {}
        self.events.subscribe(MinerSeen, lambda event: self.seen.append((event.mac, event.address)))
        self.port = free_port()
        self.rule = AddressRule(ALLOWED, [self.port])
        self.arp = tmp_path / "arp"
        self.neighbours = NeighbourTable(self.arp, self.clock)
        self.scanner = Scanner(
            MinerRegistry(self.rule.check_address, self.clock).probe_address,
            self.rule,
            self.clock,
            known=self.known.get,
        )
        self.db = Database(tmp_path / "pluto_discovery")
        self.fleet = Fleet([])

    def start_builtin_discovery(self, subnets=(SUBNET,)):
        if not self.db.is_open:
            self.db.open(self.clock)
        repository = DiscoveredRepository(self.db, redact_object)
        self.sightings = Sightings(self.neighbours, repository, self.events)
        self.source = BuiltinDiscovery(
            self.scanner, self.sightings, repository, self.rule, self.clock, lambda: subnets, [self.port], TTL
        )
        return self._service()

    def start_discovery_client(self, url):
        self.sightings = Sightings(self.neighbours, None, self.events)
        client = DiscoveryServiceClient(url, self.rule, redact_object, deadline=2)
        self.source = ExternalDiscovery(client, self.scanner, self.sightings)
        return self._service()

    def _service(self):
        locator = Locator(self.scanner, self.neighbours, self.sightings, self.source.known_addresses, [self.port])
        service = DiscoveryService(self.source, locator, NameResolver(self.rule).resolve_address)
        service.start()
        return service

    def start_miners(self, *specs):
        """Start miners; `specs` are (last byte of the address, mac, generation)."""
        places = [(self.host(at), self.port) for at, _, _ in specs]
        kinds = [(kind, board_of_generation(kind), "bitaxe", mac) for _, mac, kind in specs]
        self.fleet = Fleet([MinerSpec(*kind, place) for kind, place in zip(kinds, places, strict=True)])
        self.fleet.start()
        return [self.fleet.find_miner(mac) for _, mac, _ in specs]

    def host(self, at):
        return f"127.62.0.{at}"

    def ip(self, at):
        return f"{self.host(at)}:{self.port}"

    def update_neighbour_table(self):
        self.fleet.write_neighbour_table(self.arp)
        self.clock.ahead += 5

    def close(self):
        self.fleet.stop()
        self.db.close()


def board_of_generation(generation):
    return {"2.1": "0.11", "nerd": "nerdqaxe+"}.get(generation, "601")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.62.0.1", 0))
        return probe.getsockname()[1]


def map_addresses(found):
    return {each.mac: each.ip for each in found}


@pytest.fixture
def testbed(tmp_path):
    made = DiscoveryTestbed(tmp_path)
    yield made
    made.close()


def test_scan_finds_stores_and_publishes_every_generation(testbed):
    testbed.start_miners((1, A, "2.15"), (2, B, "2.7"), (3, C, "nerd"))
    found = testbed.start_builtin_discovery().discover_miners()
    assert map_addresses(found) == {A: testbed.ip(1), B: testbed.ip(2), C: testbed.ip(3)}
    assert sorted(testbed.seen) == sorted(map_addresses(found).items())
    assert all(each.first_seen == each.last_seen and each.first_seen.endswith("Z") for each in found)
    assert all(each.info["hostname"] == "bitaxe" and each.type == "unknown" for each in found)
    assert map_addresses(testbed.start_builtin_discovery().list_seen(DiscoveryQuery())) == map_addresses(found)


def test_second_scan_updates_last_seen_only(testbed):
    (miner,) = testbed.start_miners((1, A, "2.12"))
    service = testbed.start_builtin_discovery()
    (first,) = service.discover_miners()
    gevent.sleep(0.01)
    (second,) = service.discover_miners()
    assert second.first_seen == first.first_seen and second.last_seen > first.last_seen
    assert miner.requests == {("GET", "/api/system/info"): 2}


def test_neighbour_table_gives_mac_of_old_firmware(testbed):
    testbed.start_miners((1, A, "2.1"), (2, B, "2.12"))
    service = testbed.start_builtin_discovery()
    assert [(each.mac, each.ip) for each in service.discover_miners()] == [(None, testbed.ip(1)), (B, testbed.ip(2))]
    assert map_addresses(service.list_seen(DiscoveryQuery())) == {B: testbed.ip(2)}
    testbed.update_neighbour_table()
    assert map_addresses(service.discover_miners()) == {A: testbed.ip(1), B: testbed.ip(2)}


def test_discover_one_address(testbed):
    miners = testbed.start_miners((1, A, "2.12"), (2, B, "2.12"))
    service = testbed.start_builtin_discovery()
    assert map_addresses(service.discover_miners(ip=testbed.ip(1))) == {A: testbed.ip(1)}
    assert service.discover_miners(ip=testbed.ip(9)) == []
    assert [miner.connections_accepted for miner in miners] == [1, 0]
    assert testbed.seen == [(A, testbed.ip(1))]


def test_given_mac_applies_only_to_miner_without_mac(testbed):
    testbed.start_miners((1, A, "2.1"), (2, B, "2.12"))
    service = testbed.start_builtin_discovery()
    assert map_addresses(service.discover_miners(ip=testbed.ip(1), mac="02-00-5E-00-62-0D")) == {D: testbed.ip(1)}
    assert map_addresses(service.discover_miners(ip=testbed.ip(2), mac=D)) == {B: testbed.ip(2)}
    assert map_addresses(service.find_by_macs([D])) == {D: testbed.ip(1)}


@pytest.mark.parametrize("name", ["localhost", "LocalHost"])
def test_hostname_is_resolved_and_address_is_stored(tmp_path, name):
    """Issue 10, item 6. `localhost` is the only name that every machine resolves."""
    testbed = DiscoveryTestbed(tmp_path)
    testbed.rule = AddressRule([Net("127.0.0.1/32")], [testbed.port])
    testbed.scanner = Scanner(
        MinerRegistry(testbed.rule.check_address, testbed.clock).probe_address, testbed.rule, testbed.clock
    )
    testbed.fleet = Fleet([MinerSpec("2.12", "601", "bitaxe", A, ("127.0.0.1", testbed.port))])
    testbed.fleet.start()
    address = f"127.0.0.1:{testbed.port}"
    assert map_addresses(testbed.start_builtin_discovery().discover_miners(ip=f" {name}:{testbed.port} ")) == {
        A: address
    }
    assert map_addresses(testbed.source.find_by_macs([A])) == {A: address}
    testbed.close()


def test_hostname_of_forbidden_address_is_rejected(testbed):
    with pytest.raises(AddressForbidden, match="ALLOWED_DEVICE_NETWORKS"):
        testbed.start_builtin_discovery().discover_miners(ip="localhost")


def test_unresolvable_hostnames_are_rejected_without_blocking_loop(testbed):
    service = testbed.start_builtin_discovery()
    with probe_loop() as probe:
        for lookup_request in [
            gevent.spawn(service.discover_miners, ip=f"no-miner-{number}.invalid") for number in range(40)
        ]:
            with pytest.raises((Invalid, RetryLater), match="resolved"):
                lookup_request.get(timeout=10)
    assert probe.longest_block < 0.05


def test_given_mac_without_address_filters_the_scan(testbed):
    testbed.start_miners((1, A, "2.12"), (2, B, "2.12"))
    service = testbed.start_builtin_discovery()
    assert map_addresses(service.discover_miners(mac=B.upper())) == {B: testbed.ip(2)}
    assert service.discover_miners(mac=D) == []
    assert len(service.discover_miners(ip=" ", mac="")) == 2


@pytest.mark.parametrize("ip", ["8.8.8.8", "127.0.0.1", "224.0.0.251", "127.62.0.1:22", "169.254.169.254"])
def test_forbidden_address_is_rejected(testbed, ip):
    with pytest.raises(AddressForbidden):
        testbed.start_builtin_discovery().discover_miners(ip=ip)


@pytest.mark.parametrize(
    "query",
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
def test_invalid_query_is_rejected(testbed, query):
    with pytest.raises(Invalid) as caught:
        testbed.start_builtin_discovery().discover_miners(**query)
    assert list(caught.value.details) == list(query)


@pytest.mark.parametrize("fault", ["html", "redirect", "status_401", "garbage", "reset", "not_http", "huge"])
def test_host_that_does_not_answer_like_a_miner_is_ignored(testbed, fault):
    first, _ = testbed.start_miners((1, A, "2.12"), (2, B, "2.12"))
    first.fault = fault
    assert map_addresses(testbed.start_builtin_discovery().discover_miners()) == {B: testbed.ip(2)}


def test_duplicate_mac_is_reported_once_at_known_address(testbed, caplog):
    _, second = testbed.start_miners((5, A, "2.12"), (2, B, "2.12"))
    service = testbed.start_builtin_discovery()
    service.discover_miners(ip=testbed.ip(5))
    second.set_fault("other_mac", mac=A)
    with caplog.at_level(logging.WARNING):
        assert (
            map_addresses(service.discover_miners()) == map_addresses(service.discover_miners()) == {A: testbed.ip(5)}
        )
    assert [record.mac for record in caplog.records if "several addresses" in record.message] == [A]
    assert testbed.seen[-2:] == [(A, testbed.ip(2)), (A, testbed.ip(5))]


def test_monitored_miner_is_listed_without_request(testbed):
    miner, _ = testbed.start_miners((1, A, "2.12"), (2, B, "2.12"))
    testbed.known[Address.parse(testbed.ip(1))] = Reading({"hostname": "polled"}, A, datetime.now(UTC), is_cached=True)
    found = testbed.start_builtin_discovery().discover_miners()
    assert map_addresses(found) == {A: testbed.ip(1), B: testbed.ip(2)} and found[0].info == {"hostname": "polled"}
    assert miner.connections_accepted == 0
    assert testbed.seen == [(B, testbed.ip(2))]  # a cached reading is not a sighting


def test_lookup_matches_whole_macs_in_any_notation(testbed):
    testbed.start_miners((1, A, "2.12"), (2, B, "2.12"))
    service = testbed.start_builtin_discovery()
    service.discover_miners()
    found = service.find_by_macs([B.upper().replace(":", "-"), A, B, "02:00:5e", "junk", D])
    assert map_addresses(found) == {B: testbed.ip(2), A: testbed.ip(1)}
    assert [each.mac for each in service.find_by_macs([B, A, B])] == [B, A]


def test_discovered_miners_are_filtered_forgotten_and_expired(testbed):
    testbed.start_miners((1, A, "2.12"), (2, B, "2.12"))
    service = testbed.start_builtin_discovery()
    service.discover_miners()
    assert map_addresses(service.list_seen(DiscoveryQuery(macs=("62-0B",), partial_macs=PartialMatch.LEFT))) == {
        B: testbed.ip(2)
    }
    service.forget_miner(B)
    assert map_addresses(service.list_seen(DiscoveryQuery())) == {A: testbed.ip(1)}
    testbed.clock.ahead += TTL - 60
    assert len(service.list_seen(DiscoveryQuery())) == 1
    testbed.clock.ahead += 120
    assert service.list_seen(DiscoveryQuery()) == [] == service.find_by_macs([A])


def test_scan_without_subnets_logs_the_setting(testbed, caplog):
    assert testbed.start_builtin_discovery(subnets=()).discover_miners() == []
    assert "DISCOVERY_SUBNETS" in caplog.text


def test_miners_are_found_when_store_fails(testbed, caplog):
    testbed.start_miners((1, A, "2.12"))
    service = testbed.start_builtin_discovery()
    testbed.db.close()
    assert map_addresses(service.discover_miners()) == {A: testbed.ip(1)}
    assert testbed.seen == [(A, testbed.ip(1))] and "could not be remembered" in caplog.text


def test_announced_miner_is_probed_at_limited_rate(testbed):
    (miner,) = testbed.start_miners((1, A, "2.15"))
    service = testbed.start_builtin_discovery()
    for _ in range(3):
        testbed.source.on_announcement(Address.parse(testbed.ip(1)))
    assert miner.connections_accepted == 1
    assert testbed.seen == [(A, testbed.ip(1))] and map_addresses(service.find_by_macs([A])) == {A: testbed.ip(1)}
    testbed.clock.ahead += 31
    testbed.source.on_announcement(Address.parse(testbed.ip(1)))
    assert miner.connections_accepted == 2


@pytest.mark.parametrize("announced", ["127.62.0.1:22", "8.8.8.8"])
def test_announcement_of_forbidden_address_is_rejected(testbed, announced):
    testbed.start_builtin_discovery()
    with pytest.raises(AddressForbidden):
        testbed.source.on_announcement(Address.parse(announced))


# The search for a moved miner.


def test_locate_by_neighbour_table_probes_only_that_address(testbed):
    miner, other = testbed.start_miners((1, A, "2.12"), (2, B, "2.12"))
    testbed.update_neighbour_table()
    assert testbed.start_builtin_discovery().locate_device(A, [SUBNET]) == Address.parse(testbed.ip(1))
    assert (miner.connections_accepted, other.connections_accepted) == (1, 0)


def test_locate_by_neighbour_table_finds_old_firmware(testbed):
    testbed.start_miners((1, A, "2.1"))
    testbed.update_neighbour_table()
    assert testbed.start_builtin_discovery().locate_device(A) == Address.parse(testbed.ip(1))


def test_locate_ignores_outdated_neighbour_entry(testbed):
    miner, other = testbed.start_miners((1, A, "2.12"), (2, B, "2.12"))
    testbed.update_neighbour_table()
    service = testbed.start_builtin_discovery()
    service.discover_miners()
    swap(miner, other)
    assert service.locate_device(A) is None
    assert service.locate_device(A, [SUBNET]) == Address.parse(testbed.ip(2))
    assert map_addresses(service.find_by_macs([A, B])) == {A: testbed.ip(2), B: testbed.ip(1)}


def test_locate_uses_stored_address(testbed):
    testbed.start_miners((1, A, "2.12"))
    service = testbed.start_builtin_discovery()
    service.discover_miners()
    testbed.seen.clear()
    assert service.locate_device(A) == Address.parse(testbed.ip(1)) and testbed.seen == [(A, testbed.ip(1))]


def test_locate_scans_subnet_last_and_publishes_all_miners_found(testbed):
    miner, _ = testbed.start_miners((1, A, "2.12"), (2, B, "2.12"))
    service = testbed.start_builtin_discovery()
    service.discover_miners()
    miner.move((testbed.host(7), testbed.port))
    testbed.seen.clear()
    assert service.locate_device(A) is None
    assert service.locate_device(A, [SUBNET]) == Address.parse(testbed.ip(7))
    assert set(testbed.seen) == {(A, testbed.ip(7)), (B, testbed.ip(2))}
    assert service.locate_device(D, [SUBNET]) is None


# A discovery service.


class FakeDiscoveryService:
    """A discovery service that serves `rows`; `requests` collects (path, query)."""

    def __init__(self):
        self.rows, self.requests = [], []
        self._server = WSGIServer(("127.0.0.1", 0), self._answer, log=None)
        self._server.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def _answer(self, environ, start_response):
        self.requests.append((environ["PATH_INFO"], environ["QUERY_STRING"]))
        start_response("200 OK", [("Content-Type", "application/json")])
        return [orjson.dumps(self.rows)]

    def stop(self):
        self._server.stop()


@pytest.fixture
def service():
    made = FakeDiscoveryService()
    yield made
    made.stop()


def make_row(mac, ip="127.62.0.5"):
    return {"ip": ip, "mac": mac, "type": "Espressif Inc.", "info": {"hostname": "bitaxe"}}


def test_miners_found_by_discovery_service_are_published(testbed, service):
    service.rows = [make_row(A.upper()), make_row(None, "127.62.0.6"), make_row(B, "8.8.8.8")]
    found = testbed.start_discovery_client(service.url).discover_miners()
    assert [(each.mac, each.ip) for each in found] == [(A, "127.62.0.5"), (None, "127.62.0.6")]
    assert testbed.seen == [(A, "127.62.0.5")] and service.requests == [("/discover", "")]


def test_discovery_service_is_queried_for_one_address(testbed, service):
    service.rows = [make_row("unknown")]
    found = testbed.start_discovery_client(service.url).discover_miners(ip="127.62.0.5", mac=D.upper())
    assert map_addresses(found) == {D: "127.62.0.5"} and testbed.seen == []
    assert service.requests == [("/discover", "ip=127.62.0.5&mac=02%3A00%3A5e%3A00%3A62%3A0d")]


def test_forbidden_address_is_not_sent_to_discovery_service(testbed, service):
    with pytest.raises(AddressForbidden):
        testbed.start_discovery_client(service.url).discover_miners(ip="169.254.169.254")
    assert service.requests == []


def test_filters_apply_even_if_discovery_service_ignores_them(testbed, service):
    service.rows = [make_row(A), make_row(B, "127.62.0.6")]
    found = testbed.start_discovery_client(service.url).list_seen(
        DiscoveryQuery(ips=("0.6",), partial_ips=PartialMatch.LEFT)
    )
    assert map_addresses(found) == {B: "127.62.0.6"} and testbed.seen == []
    assert service.requests == [("/discovered", "ips=0.6&partialIps=left")]


def test_lookup_accepts_any_mac_notation_of_discovery_service(testbed, service):
    service.rows = [make_row(A.upper()), make_row(B, "127.62.0.6")]
    assert map_addresses(testbed.start_discovery_client(service.url).find_by_macs([A, D])) == {A: "127.62.0.5"}
    assert service.requests == [("/discovered", "")]


def test_last_answer_of_discovery_service_can_be_registered_when_it_is_down(testbed, service):
    discovery = testbed.start_discovery_client(service.url)
    service.rows = [make_row(A), make_row(B, "127.62.0.6")]
    discovery.discover_miners()
    service.stop()
    assert map_addresses(discovery.find_by_macs([A])) == {A: "127.62.0.5"}
    for request in (
        lambda: discovery.find_by_macs([A, D]),
        discovery.discover_miners,
        lambda: discovery.list_seen(DiscoveryQuery()),
    ):
        with pytest.raises(DiscoveryFailed):
            request()


def test_moved_miner_is_located_with_discovery_service(testbed, service):
    (miner,) = testbed.start_miners((1, A, "2.12"))
    service.rows = [make_row(A, testbed.ip(1))]
    discovery = testbed.start_discovery_client(service.url)
    discovery.discover_miners()
    assert discovery.locate_device(A) == Address.parse(testbed.ip(1))
    miner.move((testbed.host(7), testbed.port))
    assert discovery.locate_device(A, [SUBNET]) == Address.parse(testbed.ip(7))


def test_stop_ends_running_scan(testbed):
    (miner,) = testbed.start_miners((1, A, "2.12"))
    miner.fault = "hang"
    service = testbed.start_builtin_discovery()
    scan = gevent.spawn(service.discover_miners)
    gevent.sleep(0.2)
    service.stop()
    assert scan.get(timeout=0.5) == []


# Which MAC an answer belongs to.


def make_hit(host, mac=None, port=80):
    return Address(host, port), Reading({}, mac, datetime.now(UTC))


def identify_macs(*hits, table, given=None):
    return [found.mac for found in identify_hits(hits, table.get, given)]


def test_order_of_mac_sources():
    table = {"10.0.0.1": C}
    assert identify_macs(make_hit("10.0.0.1", A), table=table, given=B) == [A]
    assert identify_macs(make_hit("10.0.0.1"), table=table, given=B) == [B]
    assert identify_macs(make_hit("10.0.0.1"), table=table) == [C]
    assert identify_macs(make_hit("10.0.0.2"), table=table) == [None]


def test_neighbour_mac_applies_to_port_80_or_only_port():
    table = {"10.0.0.1": C}
    assert identify_macs(make_hit("10.0.0.1", port=8101), table=table) == [C]
    assert identify_macs(make_hit("10.0.0.1", port=8101), make_hit("10.0.0.1", port=8102), table=table) == [None, None]
    assert identify_macs(make_hit("10.0.0.1"), make_hit("10.0.0.1", port=8101), table=table) == [C, None]


def test_neighbour_mac_at_two_addresses_is_ignored():
    assert identify_macs(make_hit("10.0.0.1"), make_hit("10.0.0.2"), table={"10.0.0.1": C, "10.0.0.2": C}) == [
        None,
        None,
    ]
    assert identify_macs(make_hit("10.0.0.1", C), make_hit("10.0.0.2"), table={"10.0.0.2": C}) == [C, None]


def test_duplicates_keep_known_address_or_first():
    one, two, anonymous = (
        DiscoveredMiner(A, "10.0.0.1", {}),
        DiscoveredMiner(A, "10.0.0.2", {}),
        DiscoveredMiner(None, "10.0.0.3", {}),
    )
    assert remove_duplicates([one, anonymous, two, anonymous], {A: "10.0.0.2"}.get) == [anonymous, two, anonymous]
    assert remove_duplicates([one, two], {A: "10.0.0.9"}.get) == [one]


def test_scan_on_host_without_network_says_what_to_set(testbed, database, clock):
    fleet, events, updates = DeviceFleet(DeviceRepository(database, dict), clock), EventBus(), []
    events.subscribe(ScanUpdated, updates.append)
    ignored = IgnoredMiners(Documents(database, "ignored"), fleet.is_registered, clock)
    scans = NetworkScans(testbed.start_builtin_discovery(subnets=()), fleet, ignored, events, clock)
    scans.start_scan()
    wait_until(lambda: updates)
    assert (scans.get_state().status, scans.get_state().error) == (ScanStatus.FAILED, NO_NETWORK)
