"""Events that are not on disk yet. They are written in batches, and wait while the database cannot be written."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, NamedTuple

import orjson

from app.services.event_log.kinds import LoggedEvent
from app.store.event_rows import EventRow, EventRows

log = logging.getLogger(__name__)

MAX_BUFFERED = 10_000
ROWS_PER_BATCH = 500
_STORED_FIELDS = [field for field in LoggedEvent.__dataclass_fields__ if field != "id"]


class Waiting(NamedTuple):
    event: LoggedEvent
    row: EventRow


class EventBuffer:
    """Owns the events and the states of devices that a flush has to write. When it is full, the oldest event is dropped
    and `on_dropped` is called with their number.

    Both are encoded when they are added: one that cannot be is dropped, and never keeps others from being written.
    """

    def __init__(self, rows: EventRows, on_dropped: Callable[[int], object], limit: int = MAX_BUFFERED) -> None:
        self._rows = rows
        self._on_dropped = on_dropped
        self._limit = limit
        self._events: dict[str, Waiting] = {}
        self._states: dict[str, bytes | None] = {}
        self._logged_invalid = False

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self._events)

    def add_event(self, event: LoggedEvent) -> bool:
        """Add an event, or replace the one with its id. Return False if it was dropped."""
        record = self._encode({field: getattr(event, field) for field in _STORED_FIELDS}, event.kind)
        if record is None:
            self._on_dropped(1)
            return False
        self._events[event.id] = Waiting(event, EventRow(event.id, event.kind, event.mac, record))
        if len(self._events) > self._limit:
            del self._events[next(iter(self._events))]
            self._on_dropped(1)
        return True

    def set_state(self, mac: str, state: Mapping[str, Any]) -> None:
        """Store the state of a device with the next flush."""
        if encoded := self._encode(state, "state"):
            self._states[mac] = encoded

    def delete_state(self, mac: str) -> None:
        self._states[mac] = None

    def _encode(self, value: Mapping[str, Any], kind: str) -> bytes | None:
        """Return JSON; None for a value that has none, such as text with half a character. The first is logged."""
        try:
            return orjson.dumps(value)
        except orjson.JSONEncodeError as error:
            if not self._logged_invalid:
                log.error("an event cannot be stored and was dropped", extra={"kind": kind, "reason": str(error)})
            self._logged_invalid = True
            return None

    def get_event(self, event_id: str) -> LoggedEvent | None:
        waiting = self._events.get(event_id)
        return waiting.event if waiting else None

    def list_ids(self, mac: str | None, kinds: Iterable[str], first: str, before: str | None) -> list[str]:
        wanted = frozenset(kinds)
        return [
            event.id
            for event, _ in self._events.values()
            if (mac is None or event.mac == mac)
            and (not wanted or event.kind in wanted)
            and event.id >= first
            and (before is None or event.id < before)
        ]

    def drop_device(self, mac: str) -> None:
        """Drop the events of a device; they are deleted, not lost."""
        self._events = {key: waiting for key, waiting in self._events.items() if waiting.event.mac != mac}

    def flush(self) -> None:
        """Write everything, in batches that do not block the event loop. The state of a device is in the batch of its
        first event. What changes meanwhile stays for the next flush. Raises StoreError: then the rest stays."""
        events, states = iter(list(self._events.values())), dict(self._states)
        while batch := list(islice(events, ROWS_PER_BATCH)):
            macs = {row.mac for _, row in batch if row.mac is not None} & states.keys()
            self._write_batch(batch, {mac: states.pop(mac) for mac in macs})
        others = iter(states.items())
        while rest := dict(islice(others, ROWS_PER_BATCH)):
            self._write_batch([], rest)

    def _write_batch(self, batch: list[Waiting], states: Mapping[str, bytes | None]) -> None:
        self._rows.save_rows([row for _, row in batch], states)
        for waiting in batch:
            if self._events.get(waiting.row.id) is waiting:
                del self._events[waiting.row.id]
        for mac, state in states.items():
            if mac in self._states and self._states[mac] is state:
                del self._states[mac]
