"""Helpers of the simulator's tests. Not in conftest: there are several modules of that name."""

from __future__ import annotations

from collections.abc import Callable

import gevent

from simulator import Miner, Timings

QUICK = Timings(boot=0.15, before_restart=0.02, mining=0.1, queue=0.1, cooling=0.3, resume=0.1)
BOARDS = {"nerd": "nerdqaxe+", "nerd1.0.36": "nerdqaxe+", "nerd1.1": "nerdqaxe+", "2.1": "0.11", "2.4": "204"}
Start = Callable[..., Miner]


class FakeClock:
    """Seconds that pass when a test says so."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def tick(self, seconds: float) -> None:
        self.now += seconds


def url(miner: Miner, path: str = "/api/system/info") -> str:
    return f"http://{miner.address}{path}"


def wait_for(condition: Callable[[], object], seconds: float = 3.0) -> None:
    """Until `condition()` is true."""
    with gevent.Timeout(seconds, AssertionError(f"not within {seconds} s")):
        while not condition():
            gevent.sleep(0.005)


def endpoint(miner: Miner) -> tuple[str, int]:
    """Host and port, for a socket."""
    host, port = miner.address.split(":")
    return host, int(port)
