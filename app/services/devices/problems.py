"""The problems of a device, one sentence each: what, since when, and what the service does about it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.clock import format_iso
from app.errors import DeviceUnreachable
from app.miners.device_facts import DeviceFacts
from app.miners.telemetry import describe_status
from app.models import Cause, Observation, Status
from app.services.devices.fleet import Tracked

NEXT_ATTEMPT = "Next attempt in"
# A miner that has just started is not yet connected to its pool and does not hash.
STARTING_SECONDS = 60.0


class ProblemKind(StrEnum):
    OFFLINE = "offline"
    STALE = "stale"
    LOCKED = "locked"
    REFUSED = "refused"
    CONFLICT = "conflict"
    OVERHEATED = "overheated"
    HELD_BACK = "held_back"
    POWER_FAULT = "power_fault"
    HARDWARE_FAULT = "hardware_fault"
    POOL_DISCONNECTED = "pool_disconnected"
    NOT_HASHING = "not_hashing"
    FALLBACK_POOL = "fallback_pool"
    DRIFT = "drift"
    PENDING_RESTART = "pending_restart"
    WARNING = "warning"


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem. `message`: a sentence without times. `since`: ISO-8601, None if unknown. `next`: what the service
    does about it; if it ends with `in`, the time of the next poll completes it."""

    kind: ProblemKind
    severity: Severity
    message: str
    since: str | None = None
    next: str | None = None


_DOWN = {
    Status.OFFLINE: (ProblemKind.OFFLINE, Severity.ERROR),
    Status.LOCKED: (ProblemKind.LOCKED, Severity.ERROR),
    Status.REFUSED: (ProblemKind.REFUSED, Severity.ERROR),
    Status.STALE: (ProblemKind.STALE, Severity.WARNING),
}
# Measurements that are a problem at once, and those that are one after the miner's start, with the value that is.
_FAULTS = (
    ("power_fault", 1.0, ProblemKind.POWER_FAULT, "The firmware reports a power fault."),
    ("hardware_fault", 1.0, ProblemKind.HARDWARE_FAULT, "The firmware reports a hardware fault."),
)
_IDLE = (
    ("pool_connected", 0.0, ProblemKind.POOL_DISCONNECTED, "The pool is not connected."),
    ("hashrate_ghs", 0.0, ProblemKind.NOT_HASHING, "The miner does not hash."),
)


def find_problems(tracked: Tracked, telemetry: Mapping[str, float], facts: DeviceFacts) -> list[Problem]:
    """Return the problems of a device, those that keep it from answering first. `telemetry`, `facts`: those of its last
    answer, which count only while it answers."""
    found: list[Problem] = []
    if down := _DOWN.get(tracked.status):
        since = format_iso(tracked.reading.at) if tracked.reading else tracked.device.last_seen
        found.append(Problem(*down, _describe_failure(tracked.observation), since, NEXT_ATTEMPT))
    found.extend(_find_record_problems(tracked))
    if tracked.is_up:
        found.extend(_find_reading_problems(tracked, telemetry, facts))
    return found


def _describe_failure(observation: Observation) -> str:
    """Return the error as a sentence. Its beginning depends on the address where nothing listens there, so that it
    would not be the same for several devices."""
    error = observation.error or "No answer"
    if observation.reason == DeviceUnreachable.reason:
        detail = error.partition(": ")[2] or error
        error = f"No answer: {detail[0].lower()}{detail[1:]}"
    return _end_sentence(error)


def _end_sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _find_record_problems(tracked: Tracked) -> Iterator[Problem]:
    if tracked.conflict:
        yield Problem(
            ProblemKind.CONFLICT,
            Severity.ERROR,
            _end_sentence(f"Another device claims its MAC or address: {tracked.conflict}"),
            next="No settings are written until this is resolved.",
        )
    changed = [row for row in tracked.drift or () if row.cause is not Cause.PENDING_RESTART]
    waiting = [row for row in tracked.drift or () if row.cause is Cause.PENDING_RESTART]
    if changed:
        keys = ", ".join(row.key for row in changed)
        message = f"Settings differ from what was written: {keys}."
        yield Problem(ProblemKind.DRIFT, Severity.WARNING, message, min(row.since for row in changed))
    if waiting:
        keys = ", ".join(row.key for row in waiting)
        message = f"A restart is needed for {keys}."
        yield Problem(ProblemKind.PENDING_RESTART, Severity.WARNING, message, min(row.since for row in waiting))


def _find_reading_problems(tracked: Tracked, telemetry: Mapping[str, float], facts: DeviceFacts) -> Iterator[Problem]:
    detail = describe_status(tracked.info)
    if detail:
        yield Problem(ProblemKind.HELD_BACK, Severity.ERROR, f"{detail}.")
    elif facts.is_overheated:
        yield Problem(ProblemKind.OVERHEATED, Severity.ERROR, "The miner overheated; its firmware holds it back.")
    is_held_back = bool(detail) or facts.is_overheated or facts.is_paused
    is_starting = telemetry.get("uptime_seconds", STARTING_SECONDS) < STARTING_SECONDS
    for key, value, kind, message in (*_FAULTS, *(() if is_held_back or is_starting else _IDLE)):
        if telemetry.get(key) == value:
            yield Problem(kind, Severity.ERROR, message)
    if facts.uses_fallback:
        yield Problem(ProblemKind.FALLBACK_POOL, Severity.WARNING, "The miner uses its fallback pool.")
    for warning in tracked.derived.warnings if tracked.derived else ():
        yield Problem(ProblemKind.WARNING, Severity.WARNING, _end_sentence(warning))
