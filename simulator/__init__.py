"""Simulated Bitaxe-family miners for the demo, the tests and the benchmark.

AxeOS 2.1, 2.4, 2.7, 2.10, 2.12, 2.15 and NerdQAxe+ on real loopback sockets, each with its own dialect, limits and
faults. The import starts nothing and patches nothing. The package works with and without the monkey patches of gevent.
"""

from .fleet_specs import demo_fleet, mac_of, make_specs
from .generations import GENERATIONS, Generation
from .miner import Miner
from .miner_faults import FAULTS
from .miner_fleet import Fleet, swap
from .spec import LIFELIKE, MinerSpec, Timings

__all__ = [
    "FAULTS",
    "GENERATIONS",
    "LIFELIKE",
    "Fleet",
    "Generation",
    "Miner",
    "MinerSpec",
    "Timings",
    "demo_fleet",
    "mac_of",
    "make_specs",
    "swap",
]
