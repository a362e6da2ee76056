"""Helpers for the tests of the simulator. They are not in conftest, because several modules have that name."""

from __future__ import annotations

from collections.abc import Callable

import gevent

from simulator import Miner, Timings

FAST_TIMINGS = Timings(boot=0.15, before_restart=0.02, mining=0.1, queue=0.1, cooling=0.3, resume=0.1)
BOARDS = {"nerd": "nerdqaxe+", "nerd1.0.36": "nerdqaxe+", "nerd1.1": "nerdqaxe+", "2.1": "0.11", "2.4": "204"}
StartMiner = Callable[..., Miner]


class FakeClock:
    """A clock that advances only on request."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def make_url(miner: Miner, path: str = "/api/system/info") -> str:
    return f"http://{miner.address}{path}"


def wait_until(condition: Callable[[], object], seconds: float = 3.0) -> None:
    """Wait until `condition()` is true. Raises: AssertionError after `seconds`."""
    with gevent.Timeout(seconds, AssertionError(f"not within {seconds} s")):
        while not condition():
            gevent.sleep(0.005)


def parse_endpoint(miner: Miner) -> tuple[str, int]:
    """Return host and port of a miner for a socket."""
    host, port = miner.address.split(":")
    return host, int(port)
