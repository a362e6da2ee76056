"""The events that follow from two answers of a device. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from app.miners.device_facts import DeviceFacts
from app.miners.uptime import has_rebooted
from app.services.event_log.kinds import EventKind

# More new blocks between two answers are a defect of the firmware.
MOST_BLOCKS = 1000


class Detected(NamedTuple):
    """A detected event: its kind and details."""

    kind: EventKind
    details: dict[str, Any]


def detect_changes(before: DeviceFacts, now: DeviceFacts, elapsed: float | None) -> list[Detected]:
    """Return the events between two answers, `elapsed` seconds apart; None if unknown."""
    rebooted = has_rebooted(before.uptime, now.uptime, elapsed)
    found = [Detected(EventKind.REBOOT, {"reason": now.reset_reason, "uptime": now.uptime})] if rebooted else []
    if before.firmware and now.firmware and before.firmware != now.firmware:
        found.append(Detected(EventKind.FIRMWARE_CHANGED, {"from": before.firmware, "to": now.firmware}))
    if before.hostname and now.hostname and before.hostname != now.hostname:
        details = {"field": "hostname", "from": before.hostname, "to": now.hostname}
        found.append(Detected(EventKind.RENAMED, details))
    if now.is_overheated and not before.is_overheated:
        found.append(Detected(EventKind.OVERHEATING, {"temperature": now.temperature}))
    if bool(now.is_paused) is not bool(before.is_paused):
        found.append(Detected(EventKind.PAUSED if now.is_paused else EventKind.RESUMED, {}))
    if None not in (before.uses_fallback, now.uses_fallback) and before.uses_fallback is not now.uses_fallback:
        kind = EventKind.POOL_FAILOVER if now.uses_fallback else EventKind.POOL_RETURN
        found.append(Detected(kind, {"pool": now.pool}))
    if blocks := _count_new_blocks(before.blocks_found, now.blocks_found):
        found.append(Detected(EventKind.BLOCK_FOUND, {"blocks": blocks, "difficulty": now.best_difficulty}))
    return [*found, *_detect_best_difficulty(before, now)]


def _count_new_blocks(before: float | None, now: float | None) -> int:
    """Return the number of new blocks. A count that fell began at 0 again with the device's start."""
    if before is None or now is None:
        return 0
    found = now - before if now >= before else now
    return int(found) if found <= MOST_BLOCKS else 0


def _detect_best_difficulty(before: DeviceFacts, now: DeviceFacts) -> list[Detected]:
    """Return one event at most: a new best difficulty ever is also the best since the start."""
    for kind, old, new in (
        (EventKind.BEST_DIFFICULTY, before.best_difficulty, now.best_difficulty),
        (EventKind.BEST_SESSION_DIFFICULTY, before.best_session_difficulty, now.best_session_difficulty),
    ):
        if old is not None and new is not None and new > old:
            return [Detected(kind, {"difficulty": new, "before": old})]
    return []
