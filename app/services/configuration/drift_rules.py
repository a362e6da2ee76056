"""The rules of drift: which settings differ from the desired state, and why. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.clock import Moment
from app.miners.setting_table import (
    FALLBACK_KEYS,
    POOL_KEYS,
    SETTINGS,
    has_other_value,
    is_same_value,
    read_present_value,
)
from app.miners.values import parse_flag, parse_number
from app.models import Cause, Drift

# Covers the firmware's write queue, one poll interval and a reading that was in transit during the write.
OWN_CHANGE_SECONDS = 30.0
POOL = frozenset((*POOL_KEYS, *FALLBACK_KEYS, "useFallbackStratum", "primaryPoolIndex", "secondaryPoolIndex"))
_OVERHEATING = frozenset({"frequency", "coreVoltage", "autofanspeed", "manualFanSpeed", "overheat_mode"})

# The defaults that AxeOS writes into an empty settings store, without frequency and voltage.
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
class LastWrite:
    """The last write of a key by this service; `before`: the value in use until a restart, if one is needed;
    `uptime`: the miner's `uptimeSeconds` at the write, None if unknown."""

    at: Moment
    needs_restart: bool = False
    before: Any = None
    uptime: float | None = None


def is_foreign_pool(row: Drift) -> bool:
    """Return True if a pool or wallet setting differs for another reason than a pending restart: it was changed
    elsewhere."""
    return row.key in POOL and row.cause is not Cause.PENDING_RESTART


def find_drift(
    intended: Mapping[str, Any],
    info: Mapping[str, Any],
    written: Mapping[str, LastWrite],
    now: Moment,
) -> dict[str, tuple[Any, Any, Cause]]:
    """Return expected value, actual value and cause by key. `now`: when the miner answered `info`."""
    differing = {
        key: (value, read_present_value(SETTINGS[key], info))
        for key, value in intended.items()
        if key in SETTINGS
        and not _is_just_written(written.get(key), now)
        and has_other_value(SETTINGS[key], value, info)
    }
    cause_of = _cause_finder(intended, differing, info) if differing else None
    rows = {key: (expected, actual, cause_of(key)) for key, (expected, actual) in differing.items() if cause_of}
    waiting = {
        key: w for key, w in written.items() if key in intended and key not in rows and not _is_just_written(w, now)
    }
    uptime = reported_uptime(info)
    for key, w in waiting.items():
        if w.needs_restart and has_restarted(w.uptime, uptime, w.at.seconds_until(now)) is False:
            rows[key] = (intended[key], w.before, Cause.PENDING_RESTART)
    return rows


def reported_uptime(info: Mapping[str, Any]) -> float | None:
    """Return the miner's `uptimeSeconds`; None if it is missing or invalid."""
    uptime = parse_number(info.get("uptimeSeconds"))
    return None if uptime is None or uptime < 0 else uptime


def has_restarted(before: float | None, after: float | None, elapsed: float | None, slack: float = 0.0) -> bool | None:
    """Return whether a miner restarted between two moments that are `elapsed` seconds apart (None: unknown), by its
    uptime at each; None if that cannot be determined. `slack`: the tolerance of `after` in seconds."""
    if after is None:
        return None
    if before is not None and after < before:
        return True
    return None if elapsed is None else after < elapsed + slack


def _is_just_written(written: LastWrite | None, now: Moment) -> bool:
    elapsed = written.at.seconds_until(now) if written else None
    return elapsed is not None and abs(elapsed) < OWN_CHANGE_SECONDS


def _cause_finder(
    intended: Mapping[str, Any], differing: Mapping[str, tuple[Any, Any]], info: Mapping[str, Any]
) -> Callable[[str], Cause]:
    hot, reset = is_overheated(intended, info), was_factory_reset(intended, set(differing), info)

    def cause(key: str) -> Cause:
        if hot and key in _OVERHEATING:
            return Cause.OVERHEAT_FALLBACK
        if reset:
            return Cause.FACTORY_RESET
        return Cause.POOL_CHANGED if key in POOL else Cause.CHANGED_ELSEWHERE

    return cause


def is_overheated(intended: Mapping[str, Any], info: Mapping[str, Any]) -> bool:
    """Return True if the latch is set (AxeOS ≤ 2.10), or if the settings are those that ≥ 2.12 leaves behind: a
    manual fan at 100 %, and a lower frequency or voltage than desired."""
    if parse_flag(info.get("overheat_mode", info.get("overheat"))) == 1.0:
        return True
    full_fan = is_same_value(info.get("autofanspeed"), 0) and is_same_value(
        info.get("manualFanSpeed", info.get("fanspeed")), 100
    )
    return full_fan and any(_is_less(info.get(key), intended.get(key)) for key in ("frequency", "coreVoltage"))


def _is_less(actual: Any, expected: Any) -> bool:
    left, right = parse_number(actual), parse_number(expected)
    return left is not None and right is not None and left < right


def was_factory_reset(intended: Mapping[str, Any], differing: set[str], info: Mapping[str, Any]) -> bool:
    """Return True after a factory reset: the hostname is `bitaxe` again, two or more of the differing settings have
    their factory values, and every desired setting that has a factory value has it."""
    factory = factory_settings(info)
    known = {key for key in intended if key in factory and key in info}
    at_factory = {key for key in known if is_same_value(factory[key], info[key])}
    called = str(info.get("hostname") or "").lower()
    return called == FACTORY["hostname"] and known == at_factory and len(differing & at_factory) >= FACTORY_AT_LEAST


def factory_settings(info: Mapping[str, Any]) -> dict[str, Any]:
    chip = _FACTORY_BY_BOARD.get(str(info.get("boardVersion"))) or FACTORY_BY_CHIP.get(str(info.get("ASICModel")))
    return {**FACTORY, **({"frequency": chip[0], "coreVoltage": chip[1]} if chip else {})}
