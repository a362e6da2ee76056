"""A ring buffer of the last lines of one device, limited in lines and in bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from app.miners.log_lines import LogLine

MAX_LINES = 1000
MAX_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A line in a log. `at`: the time of arrival, ISO-8601, None if unknown; `live`: received from the stream, not by
    backfill."""

    seq: int
    at: str | None
    line: LogLine
    live: bool = True


class LogRingBuffer:
    """Entries with consecutive numbers. The oldest are dropped first."""

    def __init__(self, max_lines: int = MAX_LINES, max_bytes: int = MAX_BYTES) -> None:
        self._entries: deque[LogEntry] = deque()
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def first_entry(self) -> LogEntry | None:
        return self._entries[0] if self._entries else None

    def append_entry(self, entry: LogEntry) -> int:
        """Append an entry. Return the number of old entries dropped for it."""
        self._entries.append(entry)
        self.size_bytes += _entry_bytes(entry)
        gone = 0
        while len(self._entries) > self._max_lines or self.size_bytes > self._max_bytes:
            self.size_bytes -= _entry_bytes(self._entries.popleft())
            gone += 1
        return gone

    def free_lines(self) -> int:
        """Return how many lines can still be prepended."""
        return self._max_lines - len(self._entries)

    def prepend_entry(self, entry: LogEntry) -> bool:
        """Prepend an entry. Return False if it does not fit."""
        if not self.free_lines() or self.size_bytes + _entry_bytes(entry) > self._max_bytes:
            return False
        self._entries.appendleft(entry)
        self.size_bytes += _entry_bytes(entry)
        return True

    def entries_after(self, seq: int, limit: int = MAX_LINES) -> list[LogEntry]:
        """Return the first `limit` entries with a number above `seq`."""
        if not self._entries:
            return []
        skip = max(0, seq + 1 - self._entries[0].seq)
        return list(islice(self._entries, skip, skip + limit))

    def all_entries(self) -> Sequence[LogEntry]:
        return self._entries


def _entry_bytes(entry: LogEntry) -> int:
    """Return the size in UTF-8. ASCII, nearly all lines, needs no encoding for that."""
    return len(entry.line.line) if entry.line.line.isascii() else len(entry.line.line.encode())
