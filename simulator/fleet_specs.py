"""Specs of fleets: the twelve miners of the demo, and any number of miners on loopback addresses."""

from __future__ import annotations

import re
from dataclasses import replace
from ipaddress import IPv4Address
from itertools import cycle, islice
from typing import Any

import orjson

from .generations import GENERATIONS
from .listener import Address
from .spec import MinerSpec, canonical_mac

DEMO_PORT = 8101
MAC = re.compile(r"([0-9A-Fa-f]{2}[:-]?){5}[0-9A-Fa-f]{2}")

# (generation, board, hostname). Two miners have the factory hostname, as new miners have.
DEMO = (
    ("2.12", "601", "bitaxe"),
    ("2.15", "602", "bitaxe"),
    ("2.15", "801", "turbo"),
    ("2.15", "601", "gamma-attic"),
    ("2.10", "401", "supra"),
    ("2.7", "601", "gamma-desk"),
    ("2.7", "302", "hex"),
    ("2.4", "204", "ultra"),
    ("2.1", "0.11", "old-ultra"),
    ("2.10", "102", "max"),
    ("nerd", "nerdqaxe+", "nerdqaxe"),
    ("2.12", "204", "ultra-office"),
)

# (generation, board) of a mixed fleet; it repeats this sequence.
MIX = tuple((generation, board) for generation, board, _ in DEMO)
BOARD_OF = {"nerd": "nerdqaxe+", "nerd1.0.36": "nerdqaxe+", "nerd1.1": "nerdqaxe+", "2.1": "0.11", "2.4": "204"}


def demo_fleet(host: str = "127.0.0.1", port: int = DEMO_PORT) -> list[MinerSpec]:
    """Return the specs of twelve miners on twelve ports.

    The miner whose firmware does not report its MAC has the address 127.0.0.2. Only the neighbour table identifies
    it, and a neighbour table has one MAC per address.
    """
    return [
        MinerSpec(generation, board, hostname, mac_of(index), _choose_demo_address(generation, host, port + index))
        for index, (generation, board, hostname) in enumerate(DEMO)
    ]


def _choose_demo_address(generation: str, host: str, port: int) -> Address:
    reports_mac = GENERATIONS[generation].reports_mac
    return (host if reports_mac else str(IPv4Address(host) + 1), port)


def make_specs(
    count: int,
    generation: str = "mix",
    base: str = "127.1.0.1",
    port: int = 0,
    *,
    per_address: bool = True,
    first: int = 0,
) -> list[MinerSpec]:
    """Return the specs of `count` miners.

    With `per_address` each miner has its own address from `base` on, all with the same port; without it all miners
    have the address `base` and consecutive ports from `port` on. Port 0 selects any free port. `first` is the number
    of the first miner in MACs and hostnames.
    """
    kinds = islice(cycle(_select_kinds(generation)), count)
    return [
        MinerSpec(
            generation=kind,
            board=board,
            hostname=f"miner-{first + index:04d}",
            mac=mac_of(first + index),
            address=_choose_address(base, port, index, per_address),
        )
        for index, (kind, board) in enumerate(kinds)
    ]


def _select_kinds(generation: str) -> tuple[tuple[str, str], ...]:
    if generation == "mix":
        return MIX
    if generation not in GENERATIONS:
        raise ValueError(f"unknown generation {generation!r}; one of mix, {', '.join(GENERATIONS)}")
    return ((generation, BOARD_OF.get(generation, "601")),)


def _choose_address(base: str, port: int, index: int, per_address: bool) -> Address:
    if per_address:
        return str(IPv4Address(base) + index), port
    return base, port + index if port else 0


def mac_of(index: int) -> str:
    """Return the locally administered MAC of the miner with this number."""
    return f"02:00:5e:{index >> 16 & 255:02x}:{index >> 8 & 255:02x}:{index & 255:02x}"


def make_recorded_spec(body: bytes, address: Address) -> MinerSpec:
    """Return the spec of a miner that serves a recorded /info.

    The generation is guessed from the recorded version; the MAC is the recorded one. A body that is no JSON object
    is served unchanged by a miner of generation 2.12.
    """
    try:
        recorded = orjson.loads(body)
    except orjson.JSONDecodeError:
        recorded = None
    values = recorded if isinstance(recorded, dict) else {}
    generation = _guess_generation(values)
    spec = MinerSpec(generation, BOARD_OF.get(generation, "601"), address=address, body=body)
    mac = str(values.get("macAddr", ""))
    return replace(spec, mac=canonical_mac(mac)) if MAC.fullmatch(mac) else spec


def _guess_generation(values: dict[str, Any]) -> str:
    """Return the newest generation that is not newer than the recorded version."""
    if "deviceModel" in values:
        return "nerd"
    found = re.match(r"v?(\d+)\.(\d+)", str(values.get("version", "")))
    number = (int(found[1]), int(found[2])) if found else (2, 12)
    older = [row for row in GENERATIONS.values() if not row.nerd and row.number <= number]
    return max(older, key=lambda row: row.number, default=GENERATIONS["2.1"]).name
