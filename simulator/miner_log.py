"""The log of one miner: its lines, the ring buffer of AxeOS ≥ 2.14, and the subscribers of new lines.

A `MinerLog` opens no socket. Lines are made only while a subscriber reads the log or a client downloads it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random

from .device_state import DeviceState
from .firmware_log_lines import LogLine, choose_mining_line, format_line, make_boot_lines
from .settings_store import select_active_pool

RING_BYTES = 512 * 1024
MAX_MISSED_LINES = 200  # lines made afterwards for a time without readers
RECENT_ENTRIES = 5000
MAX_FRAME = 4096
RESTART_MARK = b"\n--- SYSTEM RESTART ---\n"

Subscriber = Callable[[bytes], None]


class MinerLog:
    """`rate`: lines per second of a mining miner; may change at any time. `recent`: the last entries."""

    def __init__(self, state: DeviceState, rng: Random, rate: float) -> None:
        self.rate = rate
        self.recent: deque[bytes] = deque(maxlen=RECENT_ENTRIES)
        self.subscribers: set[Subscriber] = set()
        self._state = state
        self._rng = rng
        self._ring: deque[bytes] = deque()
        self._ring_size = 0
        self._next: float | None = None

    def write_line(self, text: str, level: str = "I", tag: str = "simulator") -> None:
        """Write one line with the present time."""
        self._write_at((level, tag, text), self._state.clock())

    def write_bytes(self, entry: bytes) -> None:
        """Write the bytes of one ESP_LOG call unchanged."""
        self._add_entry(entry)

    def write_boot_lines(self) -> None:
        """Write the lines of a boot. The ring buffer survives it, with a mark (AxeOS ≥ 2.14)."""
        now = self._state.clock()
        if self._state.generation.log_by_line:
            self._add_entry(RESTART_MARK)
        pool = select_active_pool(self._state.settings.active)
        for line in make_boot_lines(self._state.board.chip.name, self._state.mac, pool):
            self._write_at(line, now)
        self._next = None

    def write_due_lines(self, now: float) -> None:
        """Write the lines that are due until `now`."""
        if self.rate <= 0 or not self._state.powered:
            self._next = None
            return
        longest_gap = MAX_MISSED_LINES / self.rate
        at = max(self._next if self._next is not None else now, now - longest_gap)
        pool = select_active_pool(self._state.settings.active)
        while at <= now:
            self._write_at(choose_mining_line(self._rng, pool), at)
            at += self._rng.uniform(0.5, 1.5) / self.rate
        self._next = at

    def read_ring(self, now: float) -> bytes:
        """Return the contents of the ring buffer (GET /api/system/logs)."""
        self._fill_ring(now)
        return b"".join(self._ring)

    def _fill_ring(self, now: float) -> None:
        """Make the lines since boot, because the ring of a running miner is never empty."""
        if self._next is None:
            self._next = max(self._state.machine.booted_at, now - MAX_MISSED_LINES / max(self.rate, 0.001))
        self.write_due_lines(now)

    def _write_at(self, line: LogLine, at: float) -> None:
        uptime = int((at - self._state.machine.booted_at) * 1000)
        self._add_entry(format_line(line, max(0, uptime), colours=self._state.generation.log_colours))

    def _add_entry(self, entry: bytes) -> None:
        self.recent.append(entry)
        if self._state.generation.log_by_line:
            self._ring.append(entry)
            self._ring_size += len(entry)
            while self._ring_size > RING_BYTES:
                self._ring_size -= len(self._ring.popleft())
        for subscriber in self.subscribers:
            subscriber(entry)


def split_into_frames(entry: bytes, *, by_line: bool) -> list[bytes]:
    """Return the websocket payloads of one log entry.

    Up to AxeOS 2.13 an entry is one payload. Since 2.14 it is cut after each newline and at 4096 bytes, which may
    be inside a UTF-8 sequence.
    """
    if not by_line:
        return [entry]
    lines = [line + b"\n" for line in entry.split(b"\n")[:-1]]
    return [line[at : at + MAX_FRAME] for line in lines for at in range(0, len(line), MAX_FRAME)]
