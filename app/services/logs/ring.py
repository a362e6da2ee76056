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
class Entry:
    """A line in a log. `at`: the time of arrival, ISO-8601, None if unknown; `live`: received from the stream, not by
    backfill."""

    seq: int
    at: str | None
    line: LogLine
    live: bool = True


class Ring:
    """Entries with consecutive numbers. The oldest are dropped first."""

    def __init__(self, max_lines: int = MAX_LINES, max_bytes: int = MAX_BYTES) -> None:
        self._entries: deque[Entry] = deque()
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def first(self) -> Entry | None:
        return self._entries[0] if self._entries else None

    def append(self, entry: Entry) -> int:
        """Append an entry. Return the number of old entries dropped for it."""
        self._entries.append(entry)
        self.bytes += _size(entry)
        gone = 0
        while len(self._entries) > self._max_lines or self.bytes > self._max_bytes:
            self.bytes -= _size(self._entries.popleft())
            gone += 1
        return gone

    def room(self) -> int:
        """Return how many lines can still be prepended."""
        return self._max_lines - len(self._entries)

    def prepend(self, entry: Entry) -> bool:
        """Prepend an entry. Return False if it does not fit."""
        if not self.room() or self.bytes + _size(entry) > self._max_bytes:
            return False
        self._entries.appendleft(entry)
        self.bytes += _size(entry)
        return True

    def after(self, seq: int, limit: int = MAX_LINES) -> list[Entry]:
        """Return the first `limit` entries with a number above `seq`."""
        if not self._entries:
            return []
        skip = max(0, seq + 1 - self._entries[0].seq)
        return list(islice(self._entries, skip, skip + limit))

    def all(self) -> Sequence[Entry]:
        return self._entries


def _size(entry: Entry) -> int:
    """Return the size in UTF-8. ASCII, nearly all lines, needs no encoding for that."""
    return len(entry.line.line) if entry.line.line.isascii() else len(entry.line.line.encode())
