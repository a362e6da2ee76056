"""The log of one miner: lines that come with time, the ring that AxeOS ≥ 2.14 keeps, and who reads along.

Owns its clockwork and its subscribers' queues; opens no socket. Lines are made only while somebody reads or
asks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from .log_text import Said, boot_lines, daily_line, dress
from .settings import pool_in_force

if TYPE_CHECKING:
    from .miner import Miner

RING_BYTES = 512 * 1024
CATCH_UP = 200  # lines made up for the time in which nobody looked
RECENT = 5000
MAX_FRAME = 4096
RESTART_MARK = b"\n--- SYSTEM RESTART ---\n"

Sink = Callable[[bytes], None]


class Log:
    """`rate`: lines per second of a mining miner; may be changed while it runs. `recent`: the last entries,
    whole."""

    def __init__(self, miner: Miner, random: Random, rate: float) -> None:
        self.rate = rate
        self.recent: deque[bytes] = deque(maxlen=RECENT)
        self.sinks: set[Sink] = set()
        self._miner = miner
        self._random = random
        self._ring: deque[bytes] = deque()
        self._ring_size = 0
        self._next: float | None = None

    def say(self, text: str, level: str = "I", tag: str = "simulator") -> None:
        """Write one line now."""
        self._write((level, tag, text), self._miner.now())

    def raw(self, entry: bytes) -> None:
        """Write bytes as they are, one ESP_LOG call's worth."""
        self._keep(entry)

    def boot(self) -> None:
        """The lines of a boot; the ring survives it, with a mark (AxeOS ≥ 2.14)."""
        now = self._miner.now()
        if self._miner.generation.log_by_line:
            self._keep(RESTART_MARK)
        pool = pool_in_force(self._miner.settings.active)
        for said in boot_lines(self._miner.board.chip.name, self._miner.mac, pool):
            self._write(said, now)
        self._next = None

    def advance(self, now: float) -> None:
        """Let the lines up to `now` be said."""
        if self.rate <= 0 or not self._miner.powered:
            self._next = None
            return
        behind = CATCH_UP / self.rate
        at = max(self._next if self._next is not None else now, now - behind)
        pool = pool_in_force(self._miner.settings.active)
        while at <= now:
            self._write(daily_line(self._random, pool), at)
            at += self._random.uniform(0.5, 1.5) / self.rate
        self._next = at

    def backfill(self, now: float) -> None:
        """The ring is never empty on a miner that has been running."""
        if self._next is None:
            self._next = max(self._miner.machine.booted_at, now - CATCH_UP / max(self.rate, 0.001))
        self.advance(now)

    def ring_bytes(self, now: float) -> bytes:
        """GET /api/system/logs: all that the ring holds."""
        self.backfill(now)
        return b"".join(self._ring)

    def _write(self, said: Said, at: float) -> None:
        uptime = int((at - self._miner.machine.booted_at) * 1000)
        self._keep(dress(said, max(0, uptime), colours=self._miner.generation.log_colours))

    def _keep(self, entry: bytes) -> None:
        self.recent.append(entry)
        if self._miner.generation.log_by_line:
            self._ring.append(entry)
            self._ring_size += len(entry)
            while self._ring_size > RING_BYTES:
                self._ring_size -= len(self._ring.popleft())
        for sink in self.sinks:
            sink(entry)


def frames(entry: bytes, *, by_line: bool) -> list[bytes]:
    """The websocket payloads of one entry: the entry itself up to 2.13; from 2.14 on the ring is cut after
    each newline and at 4096 bytes, inside a UTF-8 sequence if it falls so."""
    if not by_line:
        return [entry]
    lines = [line + b"\n" for line in entry.split(b"\n")[:-1]]
    return [line[at : at + MAX_FRAME] for line in lines for at in range(0, len(line), MAX_FRAME)]
