"""The kinds of events and the sentence of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

Details = Mapping[str, Any]


class EventKind(StrEnum):
    OFFLINE = "offline"
    ONLINE = "online"
    REBOOT = "reboot"
    OVERHEATING = "overheating"
    PAUSED = "paused"
    RESUMED = "resumed"
    ADDRESS_CHANGED = "address_changed"
    RENAMED = "renamed"
    FIRMWARE_CHANGED = "firmware_changed"
    SETTINGS_CHANGED = "settings_changed"
    DRIFT = "drift"
    POOL_FAILOVER = "pool_failover"
    POOL_RETURN = "pool_return"
    BEST_DIFFICULTY = "best_difficulty"
    BEST_SESSION_DIFFICULTY = "best_session_difficulty"
    BLOCK_FOUND = "block_found"
    JOB_STARTED = "job_started"
    JOB_FINISHED = "job_finished"
    STORE_REPAIRED = "store_repaired"
    SERVICE_STARTED = "service_started"
    SERVICE_STOPPED = "service_stopped"


@dataclass(frozen=True, slots=True)
class KindRow:
    """`details`: what an event of the kind carries, by key. `sentence`: makes its message of the device's name and the
    details. `repeats_by`: details that must be equal too for an event to be a repetition of an earlier one; None if
    each event stands alone."""

    details: Mapping[str, str]
    sentence: Callable[[str, Details], str]
    repeats_by: tuple[str, ...] | None = ()


def format_duration(seconds: float) -> str:
    """Return the largest unit of a duration and the one below it, such as `2 h 5 min`."""
    left = round(seconds)
    units = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    largest = next((at for at, (size, _) in enumerate(units) if left >= size), len(units) - 1)
    parts: list[str] = []
    for size, unit in units[largest : largest + 2]:
        number, left = divmod(left, size)
        parts.append(f"{number} {unit}" if number or not parts else "")
    return " ".join(filter(None, parts))


def format_difficulty(value: float) -> str:
    """Return a difficulty as the firmware shows it, such as `5.56G`."""
    for size, suffix in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.4g}{suffix}"
    return f"{value:.4g}"


def _after(seconds: float | None) -> str:
    return "" if seconds is None else f" after {format_duration(seconds)}"


def _reason(details: Details) -> str:
    return f" ({details['reason']})" if details.get("reason") else ""


def _keys(details: Details) -> str:
    return ", ".join(details["keys"])


def _counts(details: Details) -> str:
    return ", ".join(f"{number} {state}" for state, number in details["counts"].items()) or "no devices"


KINDS: Mapping[EventKind, KindRow] = {
    EventKind.OFFLINE: KindRow(
        {
            "status": "offline, locked or refused",
            "error": "the error of the last poll",
            "lastSeen": "time of the last reading, null without one",
        },
        lambda device, details: f"{device} is {details['status']}: {details['error']}",
    ),
    EventKind.ONLINE: KindRow(
        {"seconds": "duration of the absence, from the last reading; null if unknown"},
        lambda device, details: f"{device} is online{_after(details['seconds'])}",
    ),
    EventKind.REBOOT: KindRow(
        {"reason": "reset reason in the firmware's words, null if unknown", "uptime": "seconds since the start"},
        lambda device, details: f"{device} rebooted{_reason(details)}",
    ),
    EventKind.OVERHEATING: KindRow(
        {"temperature": "chip temperature in degrees Celsius, null if unknown"},
        lambda device, details: f"{device} overheated; its firmware holds it back",
    ),
    EventKind.PAUSED: KindRow({}, lambda device, details: f"{device} paused mining"),
    EventKind.RESUMED: KindRow({}, lambda device, details: f"{device} resumed mining"),
    EventKind.ADDRESS_CHANGED: KindRow(
        {"from": "the address before", "to": "the address now"},
        lambda device, details: f"{device} moved from {details['from']} to {details['to']}",
        ("from", "to"),
    ),
    EventKind.RENAMED: KindRow(
        {"field": "hostname or name", "from": "the name before, or null", "to": "the name now, or null"},
        lambda device, details: (
            f"The {details['field']} of {device} changed from {details['from'] or 'none'} to {details['to'] or 'none'}"
        ),
        ("field", "from", "to"),
    ),
    EventKind.FIRMWARE_CHANGED: KindRow(
        {"from": "the version before", "to": "the version now"},
        lambda device, details: f"The firmware of {device} changed from {details['from']} to {details['to']}",
        ("from", "to"),
    ),
    EventKind.SETTINGS_CHANGED: KindRow(
        {
            "actor": "peer or token that requested it",
            "keys": "the settings that were written",
            "entry": "id of the journal entry",
            "job": "id of the job, or null",
            "outcome": "applied, pending_restart, or in_doubt if the device did not answer afterwards",
        },
        lambda device, details: f"{details['actor']} changed settings of {device}: {_keys(details)}",
        ("actor", "keys", "job"),
    ),
    EventKind.DRIFT: KindRow(
        {
            "keys": "the settings that were changed by other means",
            "changes": "for each setting: key, expected, actual, cause",
        },
        lambda device, details: f"Settings of {device} were changed by other means: {_keys(details)}",
        ("keys",),
    ),
    EventKind.POOL_FAILOVER: KindRow(
        {"pool": "host and port of the pool in use, null if unknown"},
        lambda device, details: f"{device} uses its fallback pool{_pool(details)}",
    ),
    EventKind.POOL_RETURN: KindRow(
        {"pool": "host and port of the pool in use, null if unknown"},
        lambda device, details: f"{device} uses its primary pool again{_pool(details)}",
    ),
    EventKind.BEST_DIFFICULTY: KindRow(
        {"difficulty": "the new best difficulty", "before": "the best difficulty before"},
        lambda device, details: (
            f"{device} reached its best difficulty ever, {format_difficulty(details['difficulty'])}"
        ),
    ),
    EventKind.BEST_SESSION_DIFFICULTY: KindRow(
        {"difficulty": "the new best difficulty since the device's start", "before": "the best difficulty before"},
        lambda device, details: (
            f"{device} reached its best difficulty since its start, {format_difficulty(details['difficulty'])}"
        ),
    ),
    EventKind.BLOCK_FOUND: KindRow(
        {"blocks": "number of new blocks", "difficulty": "best difficulty ever, null if unknown"},
        lambda device, details: (
            f"{device} found a block" if details["blocks"] == 1 else f"{device} found {details['blocks']} blocks"
        ),
        None,
    ),
    EventKind.JOB_STARTED: KindRow(
        {"job": "id of the job", "action": "the action", "actor": "peer or token", "devices": "number of devices"},
        lambda device, details: (
            f"{details['actor']} started a job: {details['action']} for {details['devices']} devices"
        ),
        ("job",),
    ),
    EventKind.JOB_FINISHED: KindRow(
        {
            "job": "id of the job",
            "action": "the action",
            "actor": "peer or token",
            "state": "done, stopped, cancelled or interrupted",
            "counts": "devices by state",
        },
        lambda device, details: f"A job ({details['action']}) is {details['state']}: {_counts(details)}",
        ("job",),
    ),
    EventKind.STORE_REPAIRED: KindRow(
        {
            "store": "name of the database",
            "damage": "description of the damage",
            "recovered": "number of keys",
            "kept": "path of the damaged files in DATA_DIR",
        },
        lambda device, details: (
            f"The damaged store {details['store']} was repaired, {details['recovered']} keys were recovered"
        ),
        ("store",),
    ),
    EventKind.SERVICE_STARTED: KindRow(
        {"version": "version of the service", "devices": "number of devices"},
        lambda device, details: f"The service {details['version']} started with {details['devices']} devices",
        None,
    ),
    EventKind.SERVICE_STOPPED: KindRow({}, lambda device, details: "The service stopped", None),
}


def _pool(details: Details) -> str:
    return f" {details['pool']}" if details.get("pool") else ""


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One event, or several that repeat within ten minutes: then `details` and `message` are those of the latest.

    `at` and `last`: times of the first and the latest, ISO-8601. `mac`, `name` and `hostname` are those at the time;
    None for an event of the service. Ids are UUIDv7, so that they sort by time.
    """

    id: str
    at: str
    kind: EventKind
    mac: str | None
    name: str | None
    hostname: str | None
    message: str
    details: Details
    count: int
    last: str


def parse_event(event_id: str, record: Any) -> LoggedEvent | None:
    """Return the event of a stored record; None for a record that this version cannot read."""
    try:
        fields = {key: record[key] for key in LoggedEvent.__dataclass_fields__ if key not in ("id", "kind")}
        datetime.fromisoformat(fields["at"])
        return LoggedEvent(id=event_id, kind=EventKind(record["kind"]), **fields)
    except (KeyError, TypeError, ValueError):
        return None


def repetition_key(kind: EventKind, mac: str | None, details: Details) -> tuple[str, ...] | None:
    """Return what two events have in common if one is a repetition of the other; None if there are no repetitions."""
    repeats_by = KINDS[kind].repeats_by
    return None if repeats_by is None else (kind, mac or "", *(str(details.get(key)) for key in repeats_by))
