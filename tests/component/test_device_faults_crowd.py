"""Many miners: any number of offline or simultaneously appearing miners leaves each healthy miner polled once per
interval, and the polls are spread over it."""

from collections import Counter
from ipaddress import IPv4Network

import pytest
from fakes import find_free_port
from hypothesis import given
from hypothesis import strategies as st

from app.services.devices.schedule import early_poll_delay, next_slot, slot_phase
from simulator import Fleet, Timings, mac_of, make_specs

FLEET_SIZE = 100
SUBNET = IPv4Network("127.82.0.0/24")
QUICK = Timings(boot=0.0, before_restart=0.0, mining=0.0, queue=0.0, cooling=0.0, resume=0.0)


@pytest.fixture
def make_crowd(make_service, clock, tmp_path):
    """`service, fleet = make_crowd()`: a hundred miners, registered and polled twice."""
    fleets = []

    def build(dead=0, rounds=2):
        fleet = Fleet(
            make_specs(FLEET_SIZE, base="127.82.0.1", port=find_free_port()), clock=clock.monotonic, timings=QUICK
        )
        fleets.append(fleet)
        fleet.start()
        for miner in list(fleet)[:dead]:
            miner.power_off()
        fleet.write_neighbour_table(tmp_path / "arp")
        service = make_service(fleet, clock=clock, poll_interval=5.0, discovery_subnets=(SUBNET,))
        service.imprint_miners(*fleet)
        service.run_polls(rounds)
        return service, list(fleet)

    yield build
    for fleet in fleets:
        fleet.stop()


@pytest.mark.parametrize("count", [100, 1000])
def test_first_polls_are_spread_over_interval(count):
    """For 1,000 miners the mean is 20 connections per tenth of a second; the maximum stays below three times that."""
    macs = [mac_of(number) for number in range(count)]
    starts = [next_slot(12345.678, slot_phase(mac, 5.0), 5.0) for mac in macs]
    assert max(Counter(int(start * 10) for start in starts).values()) <= max(10, 3 * count / 50)


@given(st.integers(0, 2**24 - 1001), st.floats(0.5, 3600))
def test_thousand_miners_seen_at_once_are_polled_within_five_seconds_and_spread(first, interval):
    delays = [early_poll_delay(slot_phase(mac_of(first + number), interval), interval) for number in range(1000)]
    assert 0 <= min(delays) <= max(delays) <= min(interval, 5.0)
    tenths = Counter(int(delay / min(interval, 5.0) * 50) for delay in delays)
    assert max(tenths.values()) <= 60


@pytest.mark.parametrize("dead", [1, FLEET_SIZE // 2])
def test_offline_miners_do_not_delay_online_miners(make_crowd, dead):
    service, fleet = make_crowd(dead)
    online = fleet[dead:]
    before = {miner.mac: service.count_observations(miner.mac) for miner in online}
    service.run_polls(6)
    assert {service.count_observations(mac) - was for mac, was in before.items()} == {6}
    scrape = service.scrape_metrics()
    assert (scrape.get_value("hardware_online"), scrape.get_value("hardware_offline")) == (FLEET_SIZE - dead, dead)


def test_miners_that_return_at_once_are_polled_spread_out(make_crowd):
    """After a power cut a single scan finds all of them."""
    service, fleet = make_crowd(dead=FLEET_SIZE, rounds=60)
    for miner in fleet:
        miner.power_on()
    before = len(service.events)
    service.read_data(service.client.get("/devices/discover"))
    polls_per_step = []
    for _ in range(20):
        service.run_polls(0.05, steps=20)
        polls_per_step.append(len(service.events) - before - sum(polls_per_step))
    assert sum(polls_per_step) >= FLEET_SIZE
    assert max(polls_per_step) <= 20
    assert {service.get_status(miner.mac) for miner in fleet} == {"online"}
