"""CPU time, memory and writes of a process, read from the kernel, and percentiles of samples."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_CPUCLOCK_SCHED = 2  # In nanoseconds, where /proc/PID/stat counts in units of 10 ms.


class Usage(NamedTuple):
    time: float
    cpu: float
    rss: int


def read_usage(pid: int) -> Usage:
    return Usage(time.monotonic(), read_cpu_seconds(pid), read_rss_bytes(pid))


def read_cpu_seconds(pid: int) -> float:
    """Return user and system time of all threads, including those that have ended."""
    return time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED) / 1e9


def compare_usage(before: Usage, after: Usage, polls: int) -> dict[str, Any]:
    """Return the usage between the two readings: total, per second and per poll."""
    seconds, cpu = after.time - before.time, after.cpu - before.cpu
    return {
        "seconds": seconds,
        "cpu": cpu,
        "polls": polls,
        "rss": after.rss,
        "cpu_per_1000": divide(1000 * cpu, polls),
        "core_percent": 100 * cpu / seconds,
        "polls_per_s": polls / seconds,
    }


def read_rss_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def read_pss_bytes(*pids: int) -> int:
    """Return the memory of all together: a page that several processes share counts once."""
    return sum(_read_field(pid, "smaps_rollup", "Pss") * 1024 for pid in pids)


def read_written_bytes(pid: int) -> int:
    """Return the bytes that the process made the kernel write to a disk. A page rewritten before that counts once, and
    a file that was deleted before that (LevelDB's logs) not at all."""
    return _read_field(pid, "io", "write_bytes") - _read_field(pid, "io", "cancelled_write_bytes")


def read_child_pids(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _read_field(pid: int, file: str, name: str) -> int:
    lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def compute_percentile(values: Iterable[float], percent: float) -> float | None:
    """Return the smallest value that `percent` of the values do not exceed (nearest rank), None without values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else None


def summarize_samples(values: Iterable[float], *percents: float, scale: float = 1.0) -> dict[str, float | None]:
    """Return `{"p50": .., "p99": .., "max": .., "count": ..}` of the values times `scale`, rounded to three digits."""
    ordered = sorted(round(value * scale, 3) for value in values)
    summary = {f"p{percent:g}": compute_percentile(ordered, percent) for percent in percents}
    return {**summary, "max": ordered[-1] if ordered else None, "count": len(ordered)}


def divide(one: float | None, other: float | None) -> float | None:
    """Return one / other, None where that is not defined."""
    return one / other if one is not None and other else None
