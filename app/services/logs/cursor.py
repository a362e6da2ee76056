"""A read position in a device's log."""

from __future__ import annotations

from dataclasses import dataclass

from app.services.logs.device_log import DeviceLog
from app.services.logs.ring_buffer import LogEntry


@dataclass(frozen=True, slots=True)
class LogBatch:
    """The entries after a cursor. `lost_count`: the number of lines before them that the ring has dropped;
    `lost_until`: the number of the last of these."""

    entries: list[LogEntry]
    lost_count: int
    lost_until: int


class LogCursor:
    """`since`: the number of the last line read. None, or a number of another epoch: start at the oldest line."""

    def __init__(self, log: DeviceLog, since: int | None = None, epoch: str | None = None) -> None:
        self.log = log
        known = since is not None and since <= log.last_seq and epoch in (None, log.epoch)
        self.seq = since if known and since is not None else self._oldest_seq() - 1

    @classmethod
    def at_end(cls, log: DeviceLog) -> LogCursor:
        return cls(log, log.last_seq)

    @property
    def is_behind(self) -> bool:
        return self.seq < self.log.last_seq

    def read_batch(self, limit: int) -> LogBatch:
        """Return the next lines, at most `limit`, and move the cursor behind them."""
        oldest = self._oldest_seq()
        lost = max(0, oldest - 1 - max(self.seq, self.log.lowest_seq - 1))
        self.seq = max(self.seq, oldest - 1)
        entries = self.log.ring.entries_after(self.seq, limit)
        if entries:
            self.seq = entries[-1].seq
        return LogBatch(entries, lost, oldest - 1)

    def _oldest_seq(self) -> int:
        first = self.log.ring.first_entry
        return first.seq if first else self.log.last_seq + 1
