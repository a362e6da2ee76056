"""The settings (NVS) of one miner: stored, active, and pending in the write queue.

/api/system/info reports the `stored` settings. The miner runs the `active` ones, which differ for keys that take
effect at the next boot. Since AxeOS 2.11 writes go through a queue, so that a read directly after a PATCH still shows
the old value: `pending` holds the writes until they are due.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from .asic_boards import Board

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
class MinerSettings:
    """Settings of one miner. `version` increases with every change of the stored settings, for caches."""

    stored: dict[str, Any]
    active: dict[str, Any] = field(default_factory=dict)
    pending: list[tuple[float, dict[str, Any], frozenset[str]]] = field(default_factory=list)
    version: int = 0

    def __post_init__(self) -> None:
        self.active.update(self.stored)

    def queue_write(self, changes: Mapping[str, Any], live: frozenset[str], due: float) -> None:
        """Queue `changes`. Keys in `live` become active with the write, the others at the next boot."""
        self.pending.append((due, dict(changes), live))

    def apply_due_writes(self, now: float) -> bool:
        """Apply the writes that are due. Return True if one of them changed an active setting."""
        if not self.pending:
            return False
        due = sorted((write for write in self.pending if write[0] <= now), key=lambda write: write[0])
        self.pending = [write for write in self.pending if write[0] > now]
        stored = [self.store_changes(changes, live) for _, changes, live in due]
        return any(stored)

    def store_changes(self, changes: Mapping[str, Any], live: frozenset[str]) -> bool:
        """Write at once. Return True if an active setting changed."""
        self.stored.update(changes)
        self.version += 1
        activated = {key: value for key, value in changes.items() if key in live}
        self.active.update(activated)
        return bool(activated)

    def read_latest(self, key: str) -> Any:
        """Return the newest value of a setting, pending writes included, as in the cache of the firmware."""
        queued = [changes[key] for _, changes, _ in self.pending if key in changes]
        return queued[-1] if queued else self.stored[key]

    def activate_stored(self) -> None:
        """Apply all pending writes and activate all stored settings."""
        self.apply_due_writes(float("inf"))
        self.active.clear()
        self.active.update(self.stored)
        self.version += 1


@cache
def name_fallback_key(key: str) -> str:
    """Return the name of a fallback key: `stratumURL` → `fallbackStratumURL`."""
    return "fallback" + key[0].upper() + key[1:]


def flatten_pools(primary: Mapping[str, Any], fallback: Mapping[str, Any]) -> dict[str, Any]:
    """Return two pools as the flat keys of AxeOS ≤ 2.14 and NerdOS."""
    return dict(primary) | {name_fallback_key(key): value for key, value in fallback.items()}


def make_factory_pools(worker: str, host: str, *, slots: bool) -> dict[str, Any]:
    """Return the pool settings for `worker`: as slots by id (AxeOS ≥ 2.15) or as flat keys."""
    user = f"{FACTORY_WALLET}.{worker}"
    primary = {**DEFAULT_POOL, "stratumURL": host, "stratumUser": user}
    fallback = {**DEFAULT_POOL, "stratumURL": "solo.ckpool.org", "stratumUser": user}
    if slots:
        return {"pools": {0: primary, 1: fallback}, "primaryPoolIndex": 0, "secondaryPoolIndex": 1}
    return flatten_pools(primary, fallback)


def select_active_pool(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the primary pool from slots or from flat keys."""
    if "pools" not in settings:
        return settings
    slots: Mapping[int, Mapping[str, Any]] = settings["pools"]
    return slots.get(settings["primaryPoolIndex"], DEFAULT_POOL)


def make_factory_settings(board: Board, hostname: str) -> dict[str, Any]:
    """Return the stored settings of a new miner, without pools."""
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
        "fans": make_factory_fans(),
    }


def make_factory_fans() -> list[dict[str, Any]]:
    """Return the two fans of NerdOS. The flat keys repeat the first one."""
    pid = {"targetTemp": 55, "p": 6.0, "i": 0.1, "d": 10.0}
    return [{"mode": 2, "manualSpeed": 100, "overheatTemp": 70, "pid": dict(pid)} for _ in range(2)]
