"""A fleet of simulated miners: creates them from specs and a seed, starts and stops them together."""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from types import TracebackType

from .device_state import Clock
from .miner import Miner
from .neighbour_table import format_neighbour_table
from .spec import MinerSpec, Timings, canonical_mac


class Fleet:
    """Owns its miners. The constructor starts nothing; after `stop` all sockets are closed and all greenlets ended.

    The same specs, seed and clock give the same fleet: each miner has its own rng, seeded with seed and MAC.
    """

    def __init__(
        self,
        specs: Iterable[MinerSpec],
        seed: int = 1,
        clock: Clock = time.monotonic,
        timings: Timings | None = None,
    ) -> None:
        self.miners = [
            Miner(spec, Random(f"{seed}/{canonical_mac(spec.mac)}"), clock, timings or Timings()) for spec in specs
        ]
        self._by_mac = {miner.mac: miner for miner in self.miners}
        if len(self._by_mac) != len(self.miners):
            raise ValueError("two miners with the same MAC")

    def start(self) -> None:
        """Switch all miners on, as if they had been running before. Idempotent."""
        raise_file_limit(len(self.miners) * 4)
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

    def find_miner(self, mac: str) -> Miner:
        """Return the miner with this MAC, in any notation. Raises: KeyError."""
        return self._by_mac[canonical_mac(mac)]

    def list_neighbours(self) -> list[tuple[str, str]]:
        """Return (ip, mac) of the miners that share their address with no other miner."""
        hosts = Counter(miner.host for miner in self.miners)
        return [(miner.host, miner.mac) for miner in self.miners if hosts[miner.host] == 1]

    def write_neighbour_table(self, path: str | Path) -> None:
        """Write the neighbour table in the format of /proc/net/arp."""
        Path(path).write_text(format_neighbour_table(self.list_neighbours()), encoding="ascii")


def swap(one: Miner, other: Miner) -> None:
    """Exchange the addresses of two miners, as after a restart of the router."""
    first, second = one.release_address(), other.release_address()
    one.assign_address(second)
    other.assign_address(first)


def raise_file_limit(count: int) -> None:
    """Raise the soft limit of open files for `count` sockets, as far as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
