"""The last lines of one device, bounded in number and in bytes."""

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
    """A line in a log. `at`: when it came, ISO-8601, None where nobody knows; `live`: it came over the stream, not from
    the miner's own log of the past."""

    seq: int
    at: str | None
    line: LogLine
    live: bool = True


class Ring:
    """Entries with consecutive numbers, the oldest going first."""

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
        """Returns how many old entries had to go."""
        self._entries.append(entry)
        self.bytes += _size(entry)
        gone = 0
        while len(self._entries) > self._max_lines or self.bytes > self._max_bytes:
            self.bytes -= _size(self._entries.popleft())
            gone += 1
        return gone

    def room(self) -> int:
        """How many lines may still stand in front."""
        return self._max_lines - len(self._entries)

    def prepend(self, entry: Entry) -> bool:
        """False when there is no room left."""
        if not self.room() or self.bytes + _size(entry) > self._max_bytes:
            return False
        self._entries.appendleft(entry)
        self.bytes += _size(entry)
        return True

    def after(self, seq: int, limit: int = MAX_LINES) -> list[Entry]:
        """The first `limit` entries with a number above `seq`."""
        if not self._entries:
            return []
        skip = max(0, seq + 1 - self._entries[0].seq)
        return list(islice(self._entries, skip, skip + limit))

    def all(self) -> Sequence[Entry]:
        return self._entries


def _size(entry: Entry) -> int:
    """UTF-8 needs at most as many bytes as this counts for ASCII, which logs nearly all are."""
    return len(entry.line.line) if entry.line.line.isascii() else len(entry.line.line.encode())
