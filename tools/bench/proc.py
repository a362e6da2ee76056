"""What the kernel says of a process: its CPU time, memory and writes."""

from __future__ import annotations

import os
import time
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_CPU_CLOCK = 2  # CPUCLOCK_SCHED: what the scheduler ran, in ns, where /proc/PID/stat counts in 10 ms


def cpu_seconds(pid: int) -> float:
    """User and system time of all its threads, of those too that have ended."""
    return time.clock_gettime_ns((~pid << 3) | _CPU_CLOCK) / 1e9


def rss_bytes(pid: int | str) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def pss_bytes(*pids: int) -> int:
    """Their memory together: a page that several processes share counts once (PSS)."""
    rollups = (Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:] for pid in pids)
    return sum(int(line.split()[1]) * 1024 for lines in rollups for line in lines if line.startswith("Pss:"))


def written_bytes(pid: int) -> int:
    """What it made the kernel write to a disk; pages that it rewrites before that count once."""
    return _fields(Path(f"/proc/{pid}/io").read_text())["write_bytes"]


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _fields(text: str) -> dict[str, int]:
    """`name: 1` on each line → {"name": 1}."""
    rows = (line.split(":", 1) for line in text.splitlines())
    return {name: int(value) for name, value in rows}
