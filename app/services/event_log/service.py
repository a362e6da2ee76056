"""The event log: adds events, combines repetitions, writes them behind, answers queries and deletes old events."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import gevent
from gevent.event import Event

from app.clock import Clock, Moment, format_iso
from app.errors import DeviceNotFound, StoreError
from app.events import DeviceDeleted, EventBus, EventLogged
from app.identifiers import make_uuid7
from app.services.devices.fleet import Tracked
from app.services.event_log.buffer import MAX_BUFFERED, EventBuffer
from app.services.event_log.detection import Detected
from app.services.event_log.kinds import KINDS, Details, EventKind, LoggedEvent, parse_event, repetition_key
from app.services.event_log.retention import EARLIEST, EventRetention
from app.store.database import Database
from app.store.event_rows import EventRows
from app.supervision import run_supervised
from app.throttle import throttled, yield_if_due

log = logging.getLogger(__name__)

FLUSH_SECONDS = 5.0
EARLY_FLUSH = MAX_BUFFERED // 2
REPEAT_SECONDS = 600.0
MAX_REPEATING = 1000
_LONGEST_AGO = timedelta(days=36500)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class EventQuery:
    """A request for one page. `since`: a time, or a duration before now. `cursor`: the id of the last event of the page
    before."""

    limit: int
    mac: str | None = None
    kinds: tuple[EventKind, ...] = ()
    since: datetime | timedelta | None = None
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events, newest first. `next_cursor` is None on the last page."""

    events: list[LoggedEvent]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An event at the moment when it happens, before it has an id and a time of day."""

    kind: EventKind
    details: Details
    mac: str | None
    name: str | None
    hostname: str | None
    moment: Moment


@dataclass(slots=True)
class Recent:
    """The last event of its kind; `began`: monotonic time of its first occurrence."""

    event: LoggedEvent
    began: float


class EventLog:
    """Owns the events. Callers never wait for the disk and never get its errors: while the database cannot be used,
    events wait in a bounded buffer. While the time of day is implausible they wait too, and get their time later."""

    def __init__(
        self,
        database: Database,
        is_registered: Callable[[str], bool],
        events: EventBus,
        clock: Clock,
        on_dropped: Callable[[int], object],
        crashed: Callable[[], object] = lambda: None,
        *,
        days: int,
        per_device: int,
        delete_with_device: bool,
        min_free_bytes: int = 0,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._rows = EventRows(database, min_free_bytes)
        self._buffer = EventBuffer(self._rows, on_dropped)
        self._is_registered = is_registered
        self._events = events
        self._clock = clock
        self._on_dropped = on_dropped
        self._crashed = crashed
        self._retention = EventRetention(self._rows, clock, days, per_device)
        self._delete_with_device = delete_with_device
        self._random = random
        self._number = 0
        self._undated: deque[Occurrence] = deque()
        self._recent: dict[tuple[str, ...], Recent] = {}
        self._wake = Event()
        self._stop = Event()
        self._greenlet: gevent.Greenlet | None = None

    # Life

    def load_states(self) -> dict[str, dict[str, Any]]:
        """Return the stored state of each device, and load the events that may still repeat. Without a database, both
        are empty."""
        try:
            now, monotonic = self._clock.now(), self._clock.monotonic()
            for event in self._load_newest(now - timedelta(seconds=REPEAT_SECONDS), MAX_REPEATING):
                age = (now - datetime.fromisoformat(event.at)).total_seconds()
                key = repetition_key(event.kind, event.mac, event.details)
                if key and 0 <= age < REPEAT_SECONDS:  # an event is ahead of a clock that was set back
                    self._recent.setdefault(key, Recent(event, monotonic - age))
            for event in self._load_newest(_EPOCH, 1):
                self._retention.set_newest(datetime.fromisoformat(event.at))
            return self._rows.load_states()
        except StoreError as error:
            log.warning("the event log cannot be read", extra={"reason": str(error)})
            return {}

    def _load_newest(self, since: datetime, limit: int) -> list[LoggedEvent]:
        ids = self._rows.list_ids(None, (), _first_id(since), None, limit)
        return [event for each in ids if (event := self._find_event(each))]

    def start(self) -> None:
        self._greenlet = gevent.spawn(
            run_supervised, self._run, self._clock, self._stop, self._crashed, loop="event_log"
        )

    def stop(self) -> None:
        """Return when everything is written that can be; nothing is written after this."""
        self._stop.set()
        self._wake.set()
        if self._greenlet is not None:
            self._greenlet.join()
            self._greenlet = None
            self._write_waiting_events()
            self._on_dropped(len(self._undated))

    def _run(self) -> None:
        while not self._stop.is_set():
            self._clock.wait(self._wake, FLUSH_SECONDS)
            self._wake.clear()
            self._write_waiting_events()

    def _write_waiting_events(self) -> None:
        """Flush, then run a step of the retention: in one greenlet, so that no flush restores what is deleted."""
        now = self._clock.monotonic()
        self._date_waiting_events()
        self._recent = {key: each for key, each in self._recent.items() if now - each.began < REPEAT_SECONDS}
        self._rows.retry_writes()
        with suppress(StoreError):  # the database logs when it cannot be used, and everything stays for the next time
            self._buffer.flush()
            if len(self._buffer) >= EARLY_FLUSH:  # a burst: more came meanwhile
                self._wake.set()
            self._retention.run_step()

    # Adding

    def add_event(self, kind: EventKind, details: Details, tracked: Tracked | None = None) -> None:
        """Add an event of a device, or of the service."""
        self.add_events([Detected(kind, dict(details))], tracked)

    def add_events(self, detected: list[Detected], tracked: Tracked | None = None) -> None:
        mac, name = (tracked.mac, tracked.device.name) if tracked else (None, None)
        hostname, moment = (tracked.hostname or None) if tracked else None, self._clock.moment()
        occurrences = [Occurrence(kind, details, mac, name, hostname, moment) for kind, details in detected]
        if self._undated or self._clock.now() < EARLIEST:
            self._undated.extend(occurrences)
            while len(self._undated) > MAX_BUFFERED:
                self._undated.popleft()
                self._on_dropped(1)
            return
        for each in occurrences:
            self._record_event(each)

    def set_state(self, mac: str, state: Mapping[str, Any]) -> None:
        """Store the last known state of a device, in the batch of its events."""
        self._buffer.set_state(mac, state)

    def _date_waiting_events(self) -> None:
        """Record the events that have no time of day yet, once it is plausible."""
        while self._undated and self._clock.now() >= EARLIEST:
            self._record_event(self._undated.popleft())
            yield_if_due()

    def _record_event(self, occurrence: Occurrence) -> None:
        ago = timedelta(seconds=self._clock.monotonic() - occurrence.moment.seconds)
        moment = self._clock.now() - ago
        kind, details, mac = occurrence.kind, occurrence.details, occurrence.mac
        shown = occurrence.name or occurrence.hostname or mac or ""
        message, at = KINDS[kind].sentence(shown, details), format_iso(moment)
        key = repetition_key(kind, mac, details)
        recent = self._recent.get(key) if key else None
        if recent and occurrence.moment.seconds - recent.began < REPEAT_SECONDS:
            earlier = recent.event
            again = replace(earlier, details=details, message=message, count=earlier.count + 1, last=at)
            if self._buffer.add_event(again):
                recent.event = again
            return
        event = LoggedEvent(
            make_uuid7(moment, self._next_random()),
            at,
            kind,
            mac,
            occurrence.name,
            occurrence.hostname,
            message,
            details,
            1,
            at,
        )
        if self._buffer.add_event(event):
            if key:
                self._recent[key] = Recent(event, occurrence.moment.seconds)
            if len(self._buffer) == EARLY_FLUSH:
                self._wake.set()
            self._events.publish(EventLogged(event))

    def _next_random(self) -> bytes:
        """Return random bytes that begin with a counter, so that ids of one moment keep their order."""
        self._number = (self._number + 1) % 2**14
        return self._number.to_bytes(2) + self._random(6)

    # Queries

    def list_events(self, query: EventQuery) -> EventPage:
        """Return one page, newest first. Pages are complete and without duplicates while new events arrive. Raises
        StoreError."""
        since = query.since
        if isinstance(since, timedelta):
            since = self._clock.now() - min(since, _LONGEST_AGO)
        first = _first_id(since) if since else ""
        # A flush meanwhile moves events from the first to the second.
        waiting = self._buffer.list_ids(query.mac, query.kinds, first, query.cursor)
        stored = self._rows.list_ids(query.mac, query.kinds, first, query.cursor, query.limit + 1)
        ids = sorted({*stored, *waiting}, reverse=True)
        shown = ids[: query.limit]
        events = [event for each in throttled(shown) if (event := self._find_event(each))]
        return EventPage(events, shown[-1] if len(ids) > query.limit else None)

    def list_device_events(self, mac: str, query: EventQuery) -> EventPage:
        """Raises DeviceNotFound for a MAC that is not registered and has no events, StoreError."""
        if not self._is_registered(mac) and not self.list_events(EventQuery(limit=1, mac=mac)).events:
            raise DeviceNotFound(mac)
        return self.list_events(replace(query, mac=mac))

    def _find_event(self, event_id: str) -> LoggedEvent | None:
        return self._buffer.get_event(event_id) or parse_event(event_id, self._rows.get_record(event_id))

    # Removal

    def on_device_deleted(self, event: DeviceDeleted) -> None:
        """Forget the device's state. Its events belong to the MAC and stay, unless DELETE_DATA_ON_DEVICE_REMOVE is
        set: then the next step deletes them, at once."""
        self._buffer.delete_state(event.mac)
        if self._delete_with_device:
            self._buffer.drop_device(event.mac)
            self._undated = deque(each for each in self._undated if each.mac != event.mac)
            self._recent = {key: each for key, each in self._recent.items() if each.event.mac != event.mac}
            self._retention.remove_device(event.mac, make_uuid7(self._clock.now(), self._next_random()))
            self._wake.set()


def _first_id(moment: datetime) -> str:
    """Return the first id of this time; ids begin in 1970."""
    return make_uuid7(max(moment, _EPOCH), bytes(8))
