"""A fleet of pretend miners: makes them from specs and a seed, starts and stops them together."""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from types import TracebackType

from .miner import Clock, Miner
from .neighbours import neighbour_table
from .spec import MinerSpec, Timings, normal_mac


class Fleet:
    """Owns its miners. Nothing starts in the constructor; `stop` is a promise: sockets closed, greenlets
    dead.

    The same specs, seed and clock give the same fleet: each miner draws from its own source, made of seed
    and MAC.
    """

    def __init__(
        self,
        specs: Iterable[MinerSpec],
        seed: int = 1,
        clock: Clock = time.monotonic,
        timings: Timings | None = None,
    ) -> None:
        self.miners = [
            Miner(spec, Random(f"{seed}/{normal_mac(spec.mac)}"), clock, timings or Timings()) for spec in specs
        ]
        self._by_mac = {miner.mac: miner for miner in self.miners}
        if len(self._by_mac) != len(self.miners):
            raise ValueError("two miners with the same MAC")

    def start(self) -> None:
        """Power on all miners as if they had been running for long. Idempotent."""
        allow_sockets(len(self.miners) * 4)
        for miner in self.miners:
            miner.power_on(fresh=False)

    def stop(self) -> None:
        """Stop all miners. Idempotent."""
        for miner in self.miners:
            miner.stop()

    def __enter__(self) -> Fleet:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __len__(self) -> int:
        return len(self.miners)

    def __iter__(self) -> Iterator[Miner]:
        return iter(self.miners)

    def __getitem__(self, index: int) -> Miner:
        return self.miners[index]

    def by_mac(self, mac: str) -> Miner:
        """The miner with this MAC, however it is written; KeyError."""
        return self._by_mac[normal_mac(mac)]

    def neighbours(self) -> list[tuple[str, str]]:
        """(ip, mac) of the miners that have an address of their own: what a neighbour table can tell."""
        hosts = Counter(miner.subject.host for miner in self.miners)
        return [(miner.subject.host, miner.mac) for miner in self.miners if hosts[miner.subject.host] == 1]

    def write_neighbour_table(self, path: str | Path) -> None:
        """Write `neighbours` in the format of /proc/net/arp."""
        Path(path).write_text(neighbour_table(self.neighbours()), encoding="ascii")


def swap(one: Miner, other: Miner) -> None:
    """Two miners exchange their addresses, as after a router's restart."""
    first, second = one.leave(), other.leave()
    one.arrive(second)
    other.arrive(first)


def allow_sockets(count: int) -> None:
    """Raise the soft limit of open files as far as needed and allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
