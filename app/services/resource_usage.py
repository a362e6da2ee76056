"""The service's own use of CPU and memory."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from app.clock import Clock

WINDOW_SECONDS = 60.0
_STATM = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class Usage:
    """`cpu_seconds` since the start; `cpu_percent` of one core since about a minute ago; `resident_bytes` is None
    where the system does not report it."""

    started_at: datetime
    uptime_seconds: float
    cpu_seconds: float
    cpu_percent: float
    resident_bytes: int | None


class ResourceUsage:
    """Owns the readings that the CPU percentage is computed from. `cpu_time`: CPU seconds of this process."""

    def __init__(self, clock: Clock, cpu_time: Callable[[], float] = time.process_time) -> None:
        self._clock = clock
        self._cpu_time = cpu_time
        self._started_at = clock.now()
        self._started = clock.monotonic()
        self._earlier = self._latest = (self._started, cpu_time())

    def read_usage(self) -> Usage:
        now, cpu = self._clock.monotonic(), self._cpu_time()
        if now - self._latest[0] >= WINDOW_SECONDS:
            self._earlier, self._latest = self._latest, (now, cpu)
        since, before = self._earlier
        percent = 100 * (cpu - before) / (now - since) if now > since else 0.0
        return Usage(self._started_at, now - self._started, cpu, percent, _read_resident_bytes())


def _read_resident_bytes() -> int | None:
    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        return None
