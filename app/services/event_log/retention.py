"""Deletes events: those that are too old or too many, and those of removed devices, in small steps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from app.clock import Clock
from app.identifiers import make_uuid7
from app.services.history.timekeeper import BUILD_TIME
from app.store.event_rows import EventRows
from app.throttle import yield_if_due

# A time of day before this is that of a machine without a clock.
EARLIEST = datetime.fromtimestamp(BUILD_TIME, UTC)
# If the clock is further ahead of the newest event than this at the start, it may be wrong: less is deleted then.
LONGEST_PAUSE = timedelta(days=30)
DELETED_PER_STEP = 200
ROWS_PER_READ = 200


class EventRetention:
    """Owns which device is checked next, and which removed devices still have events. Every method raises StoreError;
    what was not deleted is tried again at the next step."""

    def __init__(self, rows: EventRows, clock: Clock, days: int, per_device: int) -> None:
        self._rows = rows
        self._clock = clock
        self._days = timedelta(days=days)
        self._per_device = per_device
        self._checked_mac = ""
        self._removed: dict[str, str] = {}
        self._newest: datetime | None = None
        self._start: tuple[datetime, float] | None = None

    def set_newest(self, newest: datetime) -> None:
        """`newest`: time of the newest event of an earlier process."""
        self._newest = newest

    def remove_device(self, mac: str, before: str) -> None:
        """Delete the events of a device with ids below `before` at the next step."""
        self._removed[mac] = before

    def run_step(self) -> None:
        """Delete the events of removed devices, some that are too old, and those that one device has too many."""
        for mac, before in list(self._removed.items()):
            self._delete_device_events(mac, before, kept=0)
            self._removed.pop(mac, None)
        if (present := self._plausible_time()) is not None:
            self._rows.delete_oldest(make_uuid7(present - self._days, bytes(8)), DELETED_PER_STEP)
        self._checked_mac = self._rows.next_mac(self._checked_mac) or ""
        if self._checked_mac:
            self._delete_device_events(self._checked_mac, None, kept=self._per_device)

    def _delete_device_events(self, mac: str, before: str | None, kept: int) -> None:
        """Delete the events of a device with ids below `before`, except the newest `kept`."""
        seen = 0
        while rows := self._rows.list_device_rows(mac, before, ROWS_PER_READ):
            self._rows.delete_rows(rows[max(kept - seen, 0) :])
            seen, before = seen + len(rows), rows[-1].id
            yield_if_due()

    def _plausible_time(self) -> datetime | None:
        """Return the time of day that decides which events are too old; None while there is none.

        A clock that jumps ahead by years while the service runs, or is far ahead of the newest event at the start, does
        not delete the log.
        """
        now, monotonic = self._clock.now(), self._clock.monotonic()
        if now < EARLIEST:
            return None
        if self._start is None:
            self._start = (min(now, self._newest + LONGEST_PAUSE) if self._newest else now), monotonic
        return min(now, self._start[0] + timedelta(seconds=monotonic - self._start[1]))
