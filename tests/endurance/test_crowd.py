"""A thousand miners in real time, one or half of them dead: those that live are asked every five seconds, one after the
other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import gevent
import pytest
from fakes import free_port
from soak import times
from testbed import Service

from app.events import DeviceObserved
from simulator import Fleet, Timings, make_specs

COUNT = 1000
ROUNDS = times(4)
SUBNET = IPv4Network("127.83.0.0/22")
STILL = Timings(boot=0.0, before_restart=0.0, mining=0.0, queue=0.0, cooling=0.0, resume=0.0)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(make_specs(COUNT, base="127.83.0.1", port=free_port()), timings=STILL) as fleet:
        fleet.write_neighbour_table(tmp_path / "arp")
        yield fleet


@pytest.mark.parametrize("dead", [1, COUNT // 2])
def test_the_living_keep_their_pace(fleet: Fleet, make_service: Callable[..., Any], dead: int) -> None:
    service: Service = make_service(
        fleet, poll_interval=5.0, allowed_device_networks=(IPv4Network("127.0.0.0/8"),), discovery_subnets=(SUBNET,)
    )
    gone, living = fleet.miners[:dead], fleet.miners[dead:]
    moments: dict[str, list[float]] = {miner.mac: [] for miner in fleet}
    service.runtime.events.subscribe(
        DeviceObserved, lambda event: moments[event.tracked.mac].append(service.clock.monotonic())
    )
    service.imprint(*fleet)
    service.await_status("online", fleet.miners[-1], within=30)
    for miner in gone:
        miner.power_off()
    gevent.sleep(20)  # until they are offline
    began = service.clock.monotonic()
    gevent.sleep(5.0 * ROUNDS)
    polls = [sum(moment >= began for moment in moments[miner.mac]) for miner in living]
    assert ROUNDS - 1 <= min(polls) <= max(polls) <= ROUNDS + 1
    tenths = Counter(int(moment * 10) for miner in living for moment in moments[miner.mac] if moment >= began)
    assert max(tenths.values()) <= 8 * len(living) / 50  # a busy machine bunches them; in step it would be all
    assert {service.runtime.fleet.get(miner.mac).status for miner in gone} == {"offline"}
