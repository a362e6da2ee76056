"""What a device runs against what it should run, and why they differ. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.clock import Moment
from app.miners.settings import FALLBACK_KEYS, POOL_KEYS, SETTINGS, present, runs_otherwise, same
from app.miners.values import flag, number

# The firmware's write queue, a poll interval and a reading that was on its way while we wrote.
OWN_CHANGE_SECONDS = 30.0


class Cause(StrEnum):
    PENDING_RESTART = "pending_restart"
    OVERHEAT_FALLBACK = "overheat_fallback"
    FACTORY_RESET = "factory_reset"
    POOL_CHANGED = "pool_changed"
    CHANGED_ELSEWHERE = "changed_elsewhere"


POOL = frozenset((*POOL_KEYS, *FALLBACK_KEYS, "useFallbackStratum", "primaryPoolIndex", "secondaryPoolIndex"))
_OVERHEATING = frozenset({"frequency", "coreVoltage", "autofanspeed", "manualFanSpeed", "overheat_mode"})

# What AxeOS writes into an empty settings store, frequency and voltage aside; hostname is "bitaxe" on every unit.
FACTORY: Mapping[str, Any] = {
    "hostname": "bitaxe",
    "autofanspeed": 1,
    "overclockEnabled": 0,
    "rotation": 0,
    "invertscreen": 0,
    "statsFrequency": 0,
    "displayTimeout": -1,
    "useFallbackStratum": 0,
}
# Default MHz and mV per chip: device_config.h of AxeOS 2.15.
FACTORY_BY_CHIP: Mapping[str, tuple[float, float]] = {
    "BM1397": (425, 1400),
    "BM1366": (485, 1200),
    "BM1368": (490, 1166),
    "BM1370": (525, 1150),
    "BM1372": (327, 1000),
    "BM1373": (327, 1000),
}
# GammaDuo's BM1370XP reports itself as BM1370.
_FACTORY_BY_BOARD: Mapping[str, tuple[float, float]] = {"650": (400, 1150)}
FACTORY_AT_LEAST = 2


@dataclass(frozen=True, slots=True)
class Drift:
    """One setting that is not as it should be. `since`: when that was first seen, ISO-8601."""

    key: str
    expected: Any
    actual: Any
    since: str
    cause: Cause


@dataclass(frozen=True, slots=True)
class Written:
    """When this service last wrote a key; `before`: what the miner runs until it restarts, if it has to; `uptime`: the
    miner's `uptimeSeconds` at the write, None where it is not known."""

    at: Moment
    needs_restart: bool = False
    before: Any = None
    uptime: float | None = None


def is_foreign_pool(row: Drift) -> bool:
    """Where the money goes was changed, and not by us, whatever else happened to the miner."""
    return row.key in POOL and row.cause is not Cause.PENDING_RESTART


def drifted(
    intended: Mapping[str, Any],
    info: Mapping[str, Any],
    written: Mapping[str, Written],
    now: Moment,
) -> dict[str, tuple[Any, Any, Cause]]:
    """Expected, actual and cause by key. `now`: when the miner answered `info`."""
    differing = {
        key: (value, present(SETTINGS[key], info))
        for key, value in intended.items()
        if key in SETTINGS and not _fresh(written.get(key), now) and runs_otherwise(SETTINGS[key], value, info)
    }
    cause_of = _cause(intended, differing, info) if differing else None
    rows = {key: (expected, actual, cause_of(key)) for key, (expected, actual) in differing.items() if cause_of}
    waiting = {key: w for key, w in written.items() if key in intended and key not in rows and not _fresh(w, now)}
    uptime = uptime_of(info)
    for key, w in waiting.items():
        if w.needs_restart and has_restarted(w.uptime, uptime, w.at.seconds_until(now)) is False:
            rows[key] = (intended[key], w.before, Cause.PENDING_RESTART)
    return rows


def uptime_of(info: Mapping[str, Any]) -> float | None:
    """The miner's `uptimeSeconds`; None where it does not say, or says what cannot be."""
    uptime = number(info.get("uptimeSeconds"))
    return None if uptime is None or uptime < 0 else uptime


def has_restarted(before: float | None, after: float | None, elapsed: float | None, slack: float = 0.0) -> bool | None:
    """Whether a miner started anew between two moments that are `elapsed` seconds apart (None: not known), by its
    uptime at each. None where that cannot be told. `slack`: by how many seconds `after` may be off."""
    if after is None:
        return None
    if before is not None and after < before:
        return True
    return None if elapsed is None else after < elapsed + slack


def _fresh(written: Written | None, now: Moment) -> bool:
    elapsed = written.at.seconds_until(now) if written else None
    return elapsed is not None and abs(elapsed) < OWN_CHANGE_SECONDS


def _cause(
    intended: Mapping[str, Any], differing: Mapping[str, tuple[Any, Any]], info: Mapping[str, Any]
) -> Callable[[str], Cause]:
    hot, reset = overheated(intended, info), was_reset(intended, set(differing), info)

    def cause(key: str) -> Cause:
        if hot and key in _OVERHEATING:
            return Cause.OVERHEAT_FALLBACK
        if reset:
            return Cause.FACTORY_RESET
        return Cause.POOL_CHANGED if key in POOL else Cause.CHANGED_ELSEWHERE

    return cause


def overheated(intended: Mapping[str, Any], info: Mapping[str, Any]) -> bool:
    """The latch is set (AxeOS ≤ 2.10), or the settings that ≥ 2.12 leaves behind: the fan by hand at 100 %, and less
    frequency or voltage than there should be."""
    if flag(info.get("overheat_mode", info.get("overheat"))) == 1.0:
        return True
    full_fan = same(info.get("autofanspeed"), 0) and same(info.get("manualFanSpeed", info.get("fanspeed")), 100)
    return full_fan and any(_less(info.get(key), intended.get(key)) for key in ("frequency", "coreVoltage"))


def _less(actual: Any, expected: Any) -> bool:
    left, right = number(actual), number(expected)
    return left is not None and right is not None and left < right


def was_reset(intended: Mapping[str, Any], differing: set[str], info: Mapping[str, Any]) -> bool:
    """Whether the miner forgot everything: it is called `bitaxe` again, two or more of the settings that differ are at
    their factory values, and no intended setting that has one kept another."""
    factory = factory_settings(info)
    known = {key for key in intended if key in factory and key in info}
    at_factory = {key for key in known if same(factory[key], info[key])}
    called = str(info.get("hostname") or "").lower()
    return called == FACTORY["hostname"] and known == at_factory and len(differing & at_factory) >= FACTORY_AT_LEAST


def factory_settings(info: Mapping[str, Any]) -> dict[str, Any]:
    chip = _FACTORY_BY_BOARD.get(str(info.get("boardVersion"))) or FACTORY_BY_CHIP.get(str(info.get("ASICModel")))
    return {**FACTORY, **({"frequency": chip[0], "coreVoltage": chip[1]} if chip else {})}
