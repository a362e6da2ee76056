"""Fixtures: simulated miners on real loopback sockets, an HTTP session and a fake clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from sim_helpers import BOARDS, FAST_TIMINGS, FakeClock, StartMiner

from simulator import Fleet, Miner, MinerSpec, Timings, mac_of


@pytest.fixture
def start_miner() -> Iterator[StartMiner]:
    """Return a function that starts a miner: `start_miner("2.12", hostname=…)`. All miners are stopped at the end."""
    fleets: list[Fleet] = []

    def create_miner(generation: str = "2.12", *, timings: Timings = FAST_TIMINGS, **fields: object) -> Miner:
        fields.setdefault("board", BOARDS.get(generation, "601"))
        fields.setdefault("mac", mac_of(len(fleets)))
        fields.setdefault("log_rate", 0.0)
        clock = fields.pop("clock", None)
        spec = MinerSpec(generation=generation, **fields)  # type: ignore[arg-type]
        fleet = Fleet([spec], timings=timings, **({"clock": clock} if clock else {}))  # type: ignore[arg-type]
        fleets.append(fleet)
        fleet.start()
        return fleet[0]

    yield create_miner
    for fleet in fleets:
        fleet.stop()


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.headers.clear()
        yield session


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
