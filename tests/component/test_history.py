"""The history: recording, tiers, restarts, faults. Real LevelDB, simulated miners, fake time."""

from collections.abc import Callable
from typing import Any

import pytest
from fakes import FakeClock
from testbed import Service

Make = Callable[..., Any]


def query(service: Service, mac: str, *names: str, back: float = 3600, points: int = 60) -> Any:
    now = service.clock.now().timestamp()
    return service.runtime.history.query_history(mac, names, now - back, now, points)


@pytest.fixture
def recorded(make_fleet: Make, make_service: Make, clock: FakeClock) -> Any:
    fleet = make_fleet("2.15", "2.4", clock=clock.monotonic)
    service = make_service(fleet, clock=clock)
    service.imprint_miners(*fleet)
    service.client.put("/devices/listen", json={"macs": [miner.mac for miner in fleet]})
    return service, list(fleet)


def test_polls_are_recorded_and_summarised(recorded: Any) -> None:
    service, (miner, other) = recorded
    service.run_polls(130)
    answer = query(service, miner.mac, "hashrate_ghs", "status", "shares_accepted", back=600, points=10)
    assert (answer.tier, answer.step) == ("1m", 60)
    print(answer)
    assert 0
