"""The log of one device: numbered lines in a ring buffer, counters, and notification of listeners."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from datetime import timedelta

from gevent.event import Event

from app.clock import Clock, format_iso
from app.miners.log_lines import LogLine
from app.services.logs.ring_buffer import MAX_LINES, LogEntry, LogRingBuffer

# Backfilled lines are numbered below the streamed ones, so a whole ring must fit below the first number.
FIRST_SEQ = MAX_LINES + 1
NOTE_TAG = "pluto"


class DeviceLog:
    """Owns the lines and their numbers. `epoch` changes with each start of the service; numbers are valid in one epoch.

    `lines`, `dropped` (old lines removed for new ones) and `reconnects` only grow. `changed` holds the events that are
    set when a line is added.
    """

    def __init__(self, mac: str, clock: Clock, common_listeners: Callable[[], Iterable[Event]] = tuple) -> None:
        self.mac = mac
        self.epoch = secrets.token_hex(6)
        self.lines = self.dropped = self.reconnects = 0
        self.changed: set[Event] = set()
        self.ring = LogRingBuffer()
        self.lowest_seq = FIRST_SEQ
        self._next_seq = FIRST_SEQ
        self._clock = clock
        self._common_listeners = common_listeners

    @property
    def last_seq(self) -> int:
        """Return the number of the newest line."""
        return self._next_seq - 1

    def add_lines(self, lines: Iterable[LogLine], *, live: bool = True) -> None:
        at = format_iso(self._clock.now())
        for line in lines:
            self._append_line(line, at, live=live)
        self.notify_listeners()

    def add_note(self, text: str) -> None:
        """Add a line of this service among the miner's lines."""
        self.add_lines([LogLine(text, "W", NOTE_TAG)])

    def insert_older_lines(self, lines: list[LogLine], age_ms: Callable[[LogLine], float | None]) -> None:
        """Insert backfilled lines before the first, as many as fit. `age_ms` returns the estimated age of a line, or
        None; the estimated time is at most that of the first line that has one."""
        heard = next((entry.at for entry in self.ring.all_entries() if entry.at is not None), None)
        for line in reversed(lines):
            at = self._estimate_time(age_ms(line))
            at = min(at, heard) if at is not None and heard is not None else at
            entry = LogEntry(self.lowest_seq - 1, at, line, live=False)
            if not self.ring.prepend_entry(entry):
                return
            self.lowest_seq -= 1

    def append_missed_lines(self, lines: list[LogLine], age_ms: Callable[[LogLine], float | None]) -> None:
        """Append backfilled lines that the miner logged while no stream was open."""
        for line in lines:
            self._append_line(line, self._estimate_time(age_ms(line)), live=False)
        self.notify_listeners()

    def notify_listeners(self) -> None:
        """Set the events of all listeners."""
        for event in (*self.changed, *self._common_listeners()):
            event.set()

    def _append_line(self, line: LogLine, at: str | None, *, live: bool) -> None:
        self.dropped += self.ring.append_entry(LogEntry(self._next_seq, at, line, live))
        self._next_seq += 1
        self.lines += live

    def _estimate_time(self, age_ms: float | None) -> str | None:
        return None if age_ms is None else format_iso(self._clock.now() - timedelta(milliseconds=age_ms))
