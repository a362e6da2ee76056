"""Pretend miners on real loopback sockets, and a clock that only moves when it is told to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from sim_helpers import BOARDS, QUICK, FakeClock, Start

from simulator import Fleet, Miner, MinerSpec, Timings, mac_of


@pytest.fixture
def start() -> Iterator[Start]:
    """`start("2.12", fault options…)` → a running miner; all are stopped at the end."""
    fleets: list[Fleet] = []

    def begin(generation: str = "2.12", *, timings: Timings = QUICK, **fields: object) -> Miner:
        fields.setdefault("board", BOARDS.get(generation, "601"))
        fields.setdefault("mac", mac_of(len(fleets)))
        fields.setdefault("log_rate", 0.0)
        clock = fields.pop("clock", None)
        spec = MinerSpec(generation=generation, **fields)  # type: ignore[arg-type]
        fleet = Fleet([spec], timings=timings, **({"clock": clock} if clock else {}))  # type: ignore[arg-type]
        fleets.append(fleet)
        fleet.start()
        return fleet[0]

    yield begin
    for fleet in fleets:
        fleet.stop()


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.headers.clear()
        yield session


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
