"""Many miners: however many of them are dead, and however many appear at once, each healthy one is asked once an
interval, and they are not all asked in the same moment."""

from collections import Counter
from ipaddress import IPv4Network

import pytest
from fakes import free_port
from hypothesis import given
from hypothesis import strategies as st

from app.services.devices.schedule import next_slot, phase, soon
from simulator import Fleet, Timings, mac_of, make_specs

COUNT = 100
SUBNET = IPv4Network("127.82.0.0/24")
QUICK = Timings(boot=0.0, before_restart=0.0, mining=0.0, queue=0.0, cooling=0.0, resume=0.0)


@pytest.fixture
def crowd(make_service, clock, tmp_path):
    """`service, fleet = crowd()`: a hundred miners, imprinted, polled twice."""
    fleets = []

    def build(dead=0, rounds=2):
        fleet = Fleet(make_specs(COUNT, base="127.82.0.1", port=free_port()), clock=clock.monotonic, timings=QUICK)
        fleets.append(fleet)
        fleet.start()
        for miner in list(fleet)[:dead]:
            miner.power_off()
        fleet.write_neighbour_table(tmp_path / "arp")
        service = make_service(fleet, clock=clock, poll_interval=5.0, discovery_subnets=(SUBNET,))
        service.imprint(*fleet)
        service.round(rounds)
        return service, list(fleet)

    yield build
    for fleet in fleets:
        fleet.stop()


@pytest.mark.parametrize("count", [100, 1000])
def test_a_fleet_that_starts_at_once_is_spread_over_the_interval(count):
    """A mean of 20 connects in a tenth of a second for 1,000 miners; never three times that."""
    macs = [mac_of(number) for number in range(count)]
    starts = [next_slot(12345.678, phase(mac, 5.0), 5.0) for mac in macs]
    assert max(Counter(int(start * 10) for start in starts).values()) <= max(10, 3 * count / 50)


@given(st.integers(0, 2**24 - 1001), st.floats(0.5, 3600))
def test_a_thousand_that_are_seen_at_once_are_asked_within_five_seconds_and_not_at_once(first, interval):
    delays = [soon(phase(mac_of(first + number), interval), interval) for number in range(1000)]
    assert 0 <= min(delays) <= max(delays) <= min(interval, 5.0)
    tenths = Counter(int(delay / min(interval, 5.0) * 50) for delay in delays)
    assert max(tenths.values()) <= 60


@pytest.mark.parametrize("dead", [1, COUNT // 2])
def test_the_dead_cost_the_living_nothing(crowd, dead):
    service, fleet = crowd(dead)
    living = fleet[dead:]
    before = {miner.mac: service.observed(miner.mac) for miner in living}
    service.round(6)
    assert {service.observed(mac) - was for mac, was in before.items()} == {6}
    scrape = service.scrape()
    assert (scrape.get_one("hardware_online"), scrape.get_one("hardware_offline")) == (COUNT - dead, dead)


def test_all_that_come_back_at_once_are_asked_one_after_the_other(crowd):
    """After a power cut a single scan meets them all."""
    service, fleet = crowd(dead=COUNT, rounds=60)
    for miner in fleet:
        miner.power_on()
    before = len(service.events)
    service.ok(service.client.get("/devices/discover"))
    asked = []
    for _ in range(20):
        service.round(0.05, steps=20)
        asked.append(len(service.events) - before - sum(asked))
    assert sum(asked) >= COUNT
    assert max(asked) <= 20
    assert {service.status(miner.mac) for miner in fleet} == {"online"}
