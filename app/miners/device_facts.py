"""Read the facts of a device's answer whose changes are events: identity, firmware, start, overheating, pool, records
and blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from app.miners.measures import MEASURES
from app.miners.pools import FALLBACK_FIELDS, find_pool_in_use, has_two_active_pools, read_fallback_in_use
from app.miners.telemetry import read_telemetry
from app.miners.values import Info, parse_number, read_amount

WatchedFields = tuple[object, ...]

MAX_TEXT = 200
_MEASURES = {measure.key: measure for measure in MEASURES}
_OVERHEAT = ("overheat", "shutdown")
_BLOCKS = ("totalFoundBlocks", *_MEASURES["blocks_found"].fields)  # NerdOS keeps a total across its starts
_WATCHED_MEASURES = (*_OVERHEAT, "mining_paused", "best_difficulty", "best_session_difficulty")
_WATCHED = tuple(
    dict.fromkeys(
        [
            *("hostname", "version", *FALLBACK_FIELDS, *_BLOCKS),
            *(field for key in _WATCHED_MEASURES for field in _MEASURES[key].fields),
        ]
    )
)

_LASTING = (
    *("hostname", "firmware", "is_overheated", "is_paused", "uses_fallback"),
    *("best_difficulty", "best_session_difficulty", "blocks_found"),
)


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """The facts of one answer; None or "" where it does not have one. `uptime` in seconds; `pool`: host and port in
    use; `uses_fallback` is None for a miner with two active pools."""

    hostname: str = ""
    firmware: str = ""
    uptime: float | None = None
    reset_reason: str | None = None
    is_overheated: bool | None = None
    temperature: float | None = None
    is_paused: bool | None = None
    uses_fallback: bool | None = None
    pool: str | None = None
    best_difficulty: float | None = None
    best_session_difficulty: float | None = None
    blocks_found: float | None = None


def watch_fields(info: Info) -> WatchedFields:
    """Return the fields that the facts depend on, except `uptimeSeconds`. If two answers have equal ones, no fact has
    changed. Called at every poll."""
    inner = info.get("stratum")
    nested = (inner.get("usingFallback"), inner.get("activePoolMode")) if isinstance(inner, dict) else None
    return (nested, *map(info.get, _WATCHED))


def read_uptime(info: Info) -> float | None:
    return parse_number(info.get("uptimeSeconds"))


def read_reset_reason(info: Info) -> str | None:
    """Return the reason of the last start in the firmware's words (AxeOS since 2.12, NerdOS)."""
    stated = info.get("resetReason") or info.get("lastResetReason")
    return stated.strip()[:MAX_TEXT] if isinstance(stated, str) and stated.strip() else None


def read_facts(info: Info, telemetry: Mapping[str, float] | None = None) -> DeviceFacts:
    """Return the facts of an answer. `telemetry`: its measurements, if the caller has read them already."""
    measured = read_telemetry(info) if telemetry is None else telemetry
    fallback = None if has_two_active_pools(info) else read_fallback_in_use(info, FALLBACK_FIELDS)
    pool = find_pool_in_use(info)
    return DeviceFacts(
        hostname=_read_text(info, "hostname"),
        firmware=_read_text(info, "version"),
        uptime=read_uptime(info),
        reset_reason=read_reset_reason(info),
        is_overheated=_is_any_set(measured, _OVERHEAT),
        temperature=measured.get("temperature_celsius"),
        is_paused=_is_any_set(measured, ("mining_paused",)),
        uses_fallback=None if fallback is None else fallback == 1.0,
        pool=f"{pool[0]}:{pool[1]}"[:MAX_TEXT] if pool else None,
        best_difficulty=measured.get("best_difficulty"),
        best_session_difficulty=measured.get("best_session_difficulty"),
        blocks_found=read_amount(info, _BLOCKS),
    )


def fill_facts(now: DeviceFacts, before: DeviceFacts) -> DeviceFacts:
    """Return the facts of an answer, those that it lacks from before: an answer may be incomplete. What describes the
    moment of an event, such as the reason of a reboot, is never that of an earlier answer."""
    lacking = {key: getattr(before, key) for key in _LASTING if getattr(now, key) in (None, "")}
    return replace(now, **lacking) if lacking else now


def _is_any_set(measured: Mapping[str, float], keys: tuple[str, ...]) -> bool | None:
    stated = [measured[key] == 1.0 for key in keys if key in measured]
    return any(stated) if stated else None


def _read_text(info: Info, key: str) -> str:
    stated = info.get(key)
    return stated[:MAX_TEXT] if isinstance(stated, str) else ""
