"""The service's own use of CPU and memory, and how late its event loop is."""

from __future__ import annotations

import resource
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from app.clock import Clock

WINDOW_SECONDS = 60
_STATM = Path("/proc/self/statm")
_TASKS = Path("/proc/self/task")


@dataclass(frozen=True, slots=True)
class Usage:
    """`cpu_seconds` since the start; `cpu_percent` of one core over the last minute. `resident_bytes`, and `threads`
    with those of the store: None where the system does not report them. `lag_mean`, `lag_max`: lag of the event loop in
    seconds over the last minute, None before its first reading."""

    started_at: datetime
    uptime_seconds: float
    cpu_seconds: float
    cpu_percent: float
    resident_bytes: int | None
    threads: int | None
    lag_mean: float | None
    lag_max: float | None


class ResourceUsage:
    """Owns the readings of the last minute, one per second. `cpu_time`: CPU seconds of this process."""

    def __init__(self, clock: Clock, cpu_time: Callable[[], float] = time.process_time) -> None:
        self._clock = clock
        self._cpu_time = cpu_time
        self._started_at = clock.now()
        self._started = clock.monotonic()
        self._cpu: deque[tuple[float, float]] = deque([(self._started, cpu_time())], WINDOW_SECONDS + 1)
        self._lags: deque[float] = deque(maxlen=WINDOW_SECONDS)

    def record_second(self, lag: float) -> None:
        """Record the CPU time of now, and the lag of the event loop in seconds. Call it once per second."""
        self._cpu.append((self._clock.monotonic(), self._cpu_time()))
        self._lags.append(lag)

    def read_usage(self) -> Usage:
        now, cpu, lags = self._clock.monotonic(), self._cpu_time(), self._lags
        since, before = self._cpu[0]
        return Usage(
            self._started_at,
            now - self._started,
            cpu,
            100 * (cpu - before) / (now - since) if now > since else 0.0,
            _read_resident_bytes(),
            _count_threads(),
            sum(lags) / len(lags) if lags else None,
            max(lags) if lags else None,
        )


def _read_resident_bytes() -> int | None:
    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        return None


def _count_threads() -> int | None:
    try:
        return sum(1 for _ in _TASKS.iterdir())
    except OSError:
        return None
