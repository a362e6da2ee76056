"""The problems of a device, one sentence each: what, since when, and what the service does about it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from app.clock import format_iso
from app.miners.device_facts import DeviceFacts
from app.miners.telemetry import describe_status
from app.models import Cause, Status
from app.services.devices.fleet import Tracked

NEXT_ATTEMPT = "Next attempt in"


class ProblemKind(StrEnum):
    OFFLINE = "offline"
    STALE = "stale"
    LOCKED = "locked"
    REFUSED = "refused"
    CONFLICT = "conflict"
    OVERHEATED = "overheated"
    HELD_BACK = "held_back"
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
    Status.OFFLINE: (ProblemKind.OFFLINE, Severity.ERROR, "No answer"),
    Status.LOCKED: (ProblemKind.LOCKED, Severity.ERROR, "The miner requires a login"),
    Status.REFUSED: (ProblemKind.REFUSED, Severity.ERROR, "The miner refuses the address of this service"),
    Status.STALE: (ProblemKind.STALE, Severity.WARNING, "The last polls failed"),
}


def find_problems(tracked: Tracked, facts: DeviceFacts) -> list[Problem]:
    """Return the problems of a device. `facts`: those of its last answer, which count only while it answers."""
    found = list(_find_record_problems(tracked))
    if tracked.monitored and (down := _DOWN.get(tracked.observation.status)):
        kind, severity, message = down
        error = tracked.observation.error
        since = format_iso(tracked.reading.at) if tracked.reading else tracked.device.last_seen
        found.insert(
            0, Problem(kind, severity, f"{message}: {error}." if error else f"{message}.", since, NEXT_ATTEMPT)
        )
    if tracked.is_up:
        found.extend(_find_reading_problems(tracked, facts))
    return found


def _find_record_problems(tracked: Tracked) -> Iterator[Problem]:
    if tracked.conflict:
        yield Problem(
            ProblemKind.CONFLICT,
            Severity.ERROR,
            f"Another device claims its MAC or address: {tracked.conflict}.",
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


def _find_reading_problems(tracked: Tracked, facts: DeviceFacts) -> Iterator[Problem]:
    detail = describe_status(tracked.info)
    if detail:
        yield Problem(ProblemKind.HELD_BACK, Severity.ERROR, f"{detail}.")
    elif facts.is_overheated:
        yield Problem(ProblemKind.OVERHEATED, Severity.ERROR, "The miner overheated; its firmware holds it back.")
    if facts.uses_fallback:
        yield Problem(ProblemKind.FALLBACK_POOL, Severity.WARNING, "The miner uses its fallback pool.")
    for warning in tracked.derived.warnings if tracked.derived else ():
        yield Problem(ProblemKind.WARNING, Severity.WARNING, warning if warning.endswith(".") else f"{warning}.")
