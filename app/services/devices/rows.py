"""Devices as rows of a table: what a list shows, without the whole answer of the firmware."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from weakref import WeakKeyDictionary

from app.clock import Clock, format_iso
from app.miners.device_facts import DeviceFacts, read_facts
from app.miners.dialects import name_firmware
from app.miners.telemetry import describe_status, read_telemetry
from app.models import Derived
from app.services.devices.fleet import Fleet, Tracked
from app.services.devices.problems import Problem, find_problems
from app.services.devices.service import matches_mac
from app.throttle import throttled

Row = Mapping[str, Any]
"""The values of a device by the keys of ROW_KEYS; an absent value has no key."""

ATTENTION = "attention"
_NO_DERIVED = Derived()


@dataclass(frozen=True, slots=True)
class RowSource:
    """What the values of a row are read from. `telemetry`, `facts` and `derived` are empty while the device does not
    answer."""

    tracked: Tracked
    telemetry: Mapping[str, float]
    facts: DeviceFacts
    derived: Derived
    problems: Sequence[Problem]


def _measured(key: str) -> Callable[[RowSource], float | None]:
    return lambda source: source.telemetry.get(key)


_READERS: Mapping[str, Callable[[RowSource], Any]] = {
    "mac": lambda source: source.tracked.mac,
    "ip": lambda source: source.tracked.device.ip,
    "title": lambda source: source.tracked.title,
    "name": lambda source: source.tracked.device.name,
    "hostname": lambda source: source.tracked.hostname or None,
    "model": lambda source: source.tracked.model or None,
    "firmware": lambda source: name_firmware(source.tracked.info) if source.tracked.info else None,
    "version": lambda source: str(source.tracked.info.get("version") or "") or None,
    "status": lambda source: source.tracked.status,
    "statusDetail": lambda source: describe_status(source.tracked.info) if source.tracked.is_up else None,
    "monitored": lambda source: source.tracked.monitored,
    "problems": lambda source: source.problems,
    "tags": lambda source: list(source.tracked.device.tags) or None,
    "presetUuid": lambda source: source.tracked.device.preset_uuid,
    "hashrateGhs": _measured("hashrate_ghs"),
    "expectedHashrateGhs": lambda source: source.derived.expected_hashrate_ghs,
    "hashratePercent": lambda source: source.derived.hashrate_percent,
    "powerWatts": _measured("power_watts"),
    "joulesPerTerahash": lambda source: source.derived.joules_per_terahash,
    "temperatureCelsius": _measured("temperature_celsius"),
    "vrTemperatureCelsius": _measured("vr_temperature_celsius"),
    "fanRpm": _measured("fanspeed_rpm"),
    "fanPercent": _measured("fan_percent"),
    "sharesAccepted": _measured("shares_accepted"),
    "sharesRejected": _measured("shares_rejected"),
    "rejectPercent1h": lambda source: source.derived.reject_percent,
    "pool": lambda source: source.facts.pool,
    "usesFallbackPool": lambda source: source.facts.uses_fallback,
    "bestDifficulty": _measured("best_difficulty"),
    "bestSessionDifficulty": _measured("best_session_difficulty"),
    "uptimeSeconds": _measured("uptime_seconds"),
    "rssiDbm": _measured("wifi_rssi_dbm"),
    "overheated": lambda source: source.facts.is_overheated,
    "paused": lambda source: source.facts.is_paused,
    "driftKeys": lambda source: [row.key for row in source.tracked.drift or ()] or None,
    "lastSeen": lambda source: (
        format_iso(source.tracked.reading.at) if source.tracked.reading else source.tracked.device.last_seen
    ),
    "createdAt": lambda source: source.tracked.device.created_at,
    "updatedAt": lambda source: source.tracked.device.updated_at,
}
NEXT_POLL = "nextPollAt"
ROW_KEYS = (*_READERS, NEXT_POLL)


@dataclass(frozen=True, slots=True)
class RowQuery:
    """A selection of rows. `states`: statuses, or ATTENTION for rows with a problem. `sort`: a key of ROW_KEYS.
    `after`: sort value and MAC of the last row of the page before."""

    states: tuple[str, ...] = ()
    tag: str | None = None
    model: str | None = None
    firmware: str | None = None
    text: str = ""
    sort: str = "title"
    descending: bool = False
    limit: int = 100
    after: tuple[Any, str] | None = None


@dataclass(frozen=True, slots=True)
class RowPage:
    """One page. `total`: rows that match. `counts`: all devices by status. `last`: `after` of the next page, None on
    the last one."""

    rows: Sequence[Row]
    total: int
    counts: Mapping[str, int]
    last: tuple[Any, str] | None


class DeviceRows:
    """Owns the row of each device until the device changes."""

    def __init__(self, fleet: Fleet, next_poll: Callable[[str], float | None], clock: Clock) -> None:
        """`next_poll` returns the monotonic time of a device's next poll, None if it is not monitored."""
        self._fleet = fleet
        self._next_poll = next_poll
        self._clock = clock
        self._rows: WeakKeyDictionary[Tracked, tuple[int, Row]] = WeakKeyDictionary()

    def get_row(self, tracked: Tracked) -> Row:
        version, row = self._rows.get(tracked, (-1, {}))
        if version != tracked.version:
            row = build_row(tracked)
            self._rows[tracked] = (tracked.version, row)
        due = self._next_poll(tracked.mac)
        if due is None:
            return row
        seconds = max(0.0, due - self._clock.monotonic())
        return {**row, NEXT_POLL: format_iso(self._clock.now() + timedelta(seconds=seconds))}

    def query_rows(self, query: RowQuery) -> RowPage:
        rows = [self.get_row(tracked) for tracked in throttled(self._fleet.all_devices())]
        page, total, last = select_rows(rows, query)
        return RowPage(page, total, Counter(str(row["status"]) for row in rows), last)


def build_row(tracked: Tracked) -> Row:
    """Return the row of a device, without the time of its next poll."""
    is_up = tracked.is_up
    telemetry = read_telemetry(tracked.info, tracked.chip_count) if is_up else {}
    facts = read_facts(tracked.info, telemetry) if is_up else DeviceFacts()
    source = RowSource(
        tracked,
        telemetry,
        facts,
        (tracked.derived if is_up else None) or _NO_DERIVED,
        find_problems(tracked, telemetry, facts),
    )
    values = ((key, read(source)) for key, read in _READERS.items())
    return {key: value for key, value in values if value is not None}


def select_rows(rows: Iterable[Row], query: RowQuery) -> tuple[list[Row], int, tuple[Any, str] | None]:
    """Return a page of the rows that match, their number, and where the next page begins."""
    matching = [row for row in rows if _matches(row, query)]
    keyed = sorted((_sort_key(row.get(query.sort), query.descending), row["mac"], row) for row in matching)
    if query.after is not None:
        value, mac = query.after
        after = (_sort_key(value, query.descending), mac)
        keyed = [entry for entry in keyed if entry[:2] > after]
    page = [row for _, _, row in keyed[: query.limit]]
    more = len(keyed) > query.limit
    return page, len(matching), (page[-1].get(query.sort), page[-1]["mac"]) if more else None


def _matches(row: Row, query: RowQuery) -> bool:
    return (
        (not query.states or row["status"] in query.states or (ATTENTION in query.states and bool(row["problems"])))
        and (query.tag is None or query.tag in row.get("tags", ()))
        and (query.model is None or query.model == row.get("model"))
        and (query.firmware is None or query.firmware in (row.get("firmware"), row.get("version")))
        and (not query.text or _contains(row, query.text.lower()))
    )


def _contains(row: Row, text: str) -> bool:
    texts = (*(str(row.get(key, "")) for key in ("title", "hostname", "ip")), *row.get("tags", ()))
    return any(text in each.lower() for each in texts) or matches_mac(row["mac"], text)


@dataclass(frozen=True, slots=True)
class _Reversed:
    """Sorts in the opposite order."""

    value: Any

    def __lt__(self, other: _Reversed) -> bool:
        return bool(other.value < self.value)


def _sort_key(value: Any, descending: bool) -> tuple[int, int, Any]:
    """Return the key of a value: absent ones last in both directions, numbers before texts."""
    if value is None:
        return (1, 0, 0)
    if isinstance(value, (list, tuple)):
        value = len(value)
    kind, comparable = (0, value) if isinstance(value, (int, float)) else (1, str(value).casefold())
    return (0, kind, _Reversed(comparable) if descending else comparable)
