"""A thousand miners in real time, one or half of them off: the others are polled every five seconds, evenly spread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import gevent
import pytest
from fakes import find_free_port
from soak import scale_loops
from testbed import Service

from app.events import DeviceObserved
from simulator import Fleet, Timings, make_specs

MINER_COUNT = 1000
ROUNDS = scale_loops(4)
SUBNET = IPv4Network("127.83.0.0/22")
NO_DELAYS = Timings(boot=0.0, before_restart=0.0, mining=0.0, queue=0.0, cooling=0.0, resume=0.0)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(make_specs(MINER_COUNT, base="127.83.0.1", port=find_free_port()), timings=NO_DELAYS) as fleet:
        fleet.write_neighbour_table(tmp_path / "arp")
        yield fleet


@pytest.mark.parametrize("powered_off_count", [1, MINER_COUNT // 2])
def test_miners_that_are_on_are_polled_on_time_while_others_are_off(
    fleet: Fleet, make_service: Callable[..., Any], powered_off_count: int
) -> None:
    service: Service = make_service(
        fleet, poll_interval=5.0, allowed_device_networks=(IPv4Network("127.0.0.0/8"),), discovery_subnets=(SUBNET,)
    )
    powered_off, powered_on = fleet.miners[:powered_off_count], fleet.miners[powered_off_count:]
    poll_times: dict[str, list[float]] = {miner.mac: [] for miner in fleet}
    service.runtime.events.subscribe(
        DeviceObserved, lambda event: poll_times[event.tracked.mac].append(service.clock.monotonic())
    )
    service.imprint_miners(*fleet)
    service.wait_for_status("online", fleet.miners[-1], within=30)
    for miner in powered_off:
        miner.power_off()
    gevent.sleep(20)  # until they are offline
    window_start = service.clock.monotonic()
    gevent.sleep(5.0 * ROUNDS)
    poll_counts = [sum(poll_time >= window_start for poll_time in poll_times[miner.mac]) for miner in powered_on]
    assert ROUNDS - 1 <= min(poll_counts) <= max(poll_counts) <= ROUNDS + 1
    polls_per_tenth = Counter(
        int(poll_time * 10) for miner in powered_on for poll_time in poll_times[miner.mac] if poll_time >= window_start
    )
    # On a busy machine some polls come together; without the spread all of them would.
    assert max(polls_per_tenth.values()) <= 8 * len(powered_on) / 50
    assert {service.runtime.fleet.get_device(miner.mac).status for miner in powered_off} == {"offline"}
