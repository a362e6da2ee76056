"""Events that are not on disk yet. They are written in batches, and wait while the database cannot be written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from app.services.event_log.kinds import LoggedEvent
from app.store.event_rows import EventRow, EventRows

MAX_BUFFERED = 10_000
State = Mapping[str, Any]


class EventBuffer:
    """Owns the events and the states of devices that a flush has to write. When it is full, the oldest event is dropped
    and `on_dropped` is called with their number."""

    def __init__(self, rows: EventRows, on_dropped: Callable[[int], object], limit: int = MAX_BUFFERED) -> None:
        self._rows = rows
        self._on_dropped = on_dropped
        self._limit = limit
        self._events: dict[str, LoggedEvent] = {}
        self._states: dict[str, State | None] = {}

    def add_event(self, event: LoggedEvent) -> None:
        """Add an event, or replace the one with its id."""
        self._events[event.id] = event
        if len(self._events) > self._limit:
            del self._events[next(iter(self._events))]
            self._on_dropped(1)

    def set_state(self, mac: str, state: State | None) -> None:
        """Store the state of a device with the next flush; None deletes it."""
        self._states[mac] = state

    def get_event(self, event_id: str) -> LoggedEvent | None:
        return self._events.get(event_id)

    def list_ids(self, mac: str | None, kinds: Iterable[str], first: str, before: str | None) -> list[str]:
        wanted = frozenset(kinds)
        return [
            event.id
            for event in self._events.values()
            if (mac is None or event.mac == mac)
            and (not wanted or event.kind in wanted)
            and event.id >= first
            and (before is None or event.id < before)
        ]

    def drop_device(self, mac: str) -> None:
        """Drop the events of a device; they are deleted, not lost."""
        self._events = {key: event for key, event in self._events.items() if event.mac != mac}

    def flush(self) -> None:
        """Write everything in one batch. What changes meanwhile stays for the next flush. Raises StoreError: then
        everything stays."""
        events, states = list(self._events.values()), dict(self._states)
        if events or states:
            self._rows.save_rows(map(_build_row, events), states)
        for event in events:
            if self._events.get(event.id) is event:
                del self._events[event.id]
        for mac, state in states.items():
            if mac in self._states and self._states[mac] is state:
                del self._states[mac]


def _build_row(event: LoggedEvent) -> EventRow:
    fields = {key: getattr(event, key) for key in LoggedEvent.__dataclass_fields__ if key != "id"}
    return EventRow(event.id, event.kind, event.mac, orjson.dumps(fields))
