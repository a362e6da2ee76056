"""The settings store (NVS) of one miner: what is stored, what is in force, and what still waits in the
write queue.

`stored` is what /api/system/info reports; `active` is what the miner runs, which differs for keys that take
effect at the next boot. From AxeOS 2.11 on writes go through a queue, so that a read right after a PATCH
still shows the old value: `pending` holds them until they are due.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from .boards import Board

DEFAULT_POOL: Mapping[str, Any] = {
    "stratumProtocol": "SV1",
    "stratumURL": "",
    "stratumPort": 3333,
    "stratumUser": "",
    "stratumPassword": "x",
    "stratumSuggestedDifficulty": 1000,
    "stratumExtranonceSubscribe": False,
    "stratumTLS": 0,
    "stratumCert": "",
    "stratumDecodeCoinbase": True,
    "stratumV2ChannelType": "extended",
    "stratumV2AuthorityPubkey": "",
    "stratumV2RequireAuth": False,
}

FACTORY_WALLET = "bc1qexampleexampleexampleexampleexample0q"


@dataclass
class Settings:
    """`version` grows with every change of what is stored: renderers cache by it."""

    stored: dict[str, Any]
    active: dict[str, Any] = field(default_factory=dict)
    pending: list[tuple[float, dict[str, Any], frozenset[str]]] = field(default_factory=list)
    version: int = 0

    def __post_init__(self) -> None:
        self.active.update(self.stored)

    def write(self, changes: Mapping[str, Any], live: frozenset[str], due: float) -> None:
        """Queue `changes`; those in `live` come into force with the write, the others at the next boot."""
        self.pending.append((due, dict(changes), live))

    def settle(self, now: float) -> bool:
        """Carry out the writes that are due; True when one of them changed what is in force."""
        if not self.pending:
            return False
        ripe = sorted((write for write in self.pending if write[0] <= now), key=lambda write: write[0])
        self.pending = [write for write in self.pending if write[0] > now]
        stored = [self.store(changes, live) for _, changes, live in ripe]
        return any(stored)

    def store(self, changes: Mapping[str, Any], live: frozenset[str]) -> bool:
        """Write at once; True when something in force changed."""
        self.stored.update(changes)
        self.version += 1
        in_force = {key: value for key, value in changes.items() if key in live}
        self.active.update(in_force)
        return bool(in_force)

    def latest(self, key: str) -> Any:
        """The value that counts for the next write: queued ones included, as in the firmware's cache."""
        queued = [changes[key] for _, changes, _ in self.pending if key in changes]
        return queued[-1] if queued else self.stored[key]

    def boot(self) -> None:
        """The queue is flushed before a reboot, and everything stored comes into force."""
        self.settle(float("inf"))
        self.active.clear()
        self.active.update(self.stored)
        self.version += 1


@cache
def fallback_name(key: str) -> str:
    """`stratumURL` → `fallbackStratumURL`."""
    return "fallback" + key[0].upper() + key[1:]


def flat_pools(primary: Mapping[str, Any], fallback: Mapping[str, Any]) -> dict[str, Any]:
    """Two pools as the flat keys of AxeOS ≤ 2.14 and NerdOS."""
    return dict(primary) | {fallback_name(key): value for key, value in fallback.items()}


def factory_pools(worker: str, host: str, *, slots: bool) -> dict[str, Any]:
    """Pool settings of a miner set up for `worker`: as slots by id (AxeOS ≥ 2.15) or as flat keys."""
    user = f"{FACTORY_WALLET}.{worker}"
    primary = {**DEFAULT_POOL, "stratumURL": host, "stratumUser": user}
    fallback = {**DEFAULT_POOL, "stratumURL": "solo.ckpool.org", "stratumUser": user}
    if slots:
        return {"pools": {0: primary, 1: fallback}, "primaryPoolIndex": 0, "secondaryPoolIndex": 1}
    return flat_pools(primary, fallback)


def pool_in_force(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """The primary pool's keys, whichever way the firmware stores them."""
    if "pools" not in settings:
        return settings
    slots: Mapping[int, Mapping[str, Any]] = settings["pools"]
    return slots.get(settings["primaryPoolIndex"], DEFAULT_POOL)


def factory_settings(board: Board, hostname: str) -> dict[str, Any]:
    """What a miner has stored at first start, pools aside."""
    return {
        "hostname": hostname,
        "ssid": "FakeNet-24",
        "wifiPass": "not-a-secret",
        "frequency": board.chip.default_mhz,
        "coreVoltage": board.chip.default_mv,
        "autofanspeed": 1,
        "manualFanSpeed": 100,
        "minFanSpeed": 25,
        "temptarget": 60,
        "overheat_mode": 0,
        "overclockEnabled": 0,
        "statsFrequency": 0,
        "displayTimeout": -1,
        "display": "SSD1306 (128x32)",
        "rotation": 0,
        "displayOffset": 0,
        "flipscreen": 1,
        "invertscreen": 0,
        "invertfanpolarity": 1,
        "useCustomWWW": 0,
        "useFallbackStratum": 0,
        "jobInterval": 1200,
        "overheat_temp": 70,
        "poolMode": 0,
        "fans": factory_fans(),
    }


def factory_fans() -> list[dict[str, Any]]:
    """Two fans of NerdOS, whose first one the flat keys repeat."""
    pid = {"targetTemp": 55, "p": 6.0, "i": 0.1, "d": 10.0}
    return [{"mode": 2, "manualSpeed": 100, "overheatTemp": 70, "pid": dict(pid)} for _ in range(2)]
