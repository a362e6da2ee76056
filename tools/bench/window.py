"""The service over the measured seconds: what went in at the beginning and the end, and what follows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from .figures import spread
from .options import Options
from .proc import cpu_seconds, pss_bytes, rss_bytes, written_bytes
from .processes import Part
from .service import Service

SAMPLE_SECONDS = 0.5
# LevelDB goes on compacting after a flush.
FLUSH_TAIL_SECONDS = 5.0
DAY = 86400.0
PERSIST_SECONDS = 300.0  # the setting's default


@dataclass(frozen=True)
class Mark:
    """The worker at one moment."""

    at: float
    cpu: float
    rss: int

    @classmethod
    def now(cls, pid: int) -> Mark:
        return cls(time.monotonic(), cpu_seconds(pid), rss_bytes(pid))


def measure(service: Service, options: Options, parts: list[Part]) -> dict[str, Any]:
    """Sleeps through the window; returns what can be seen at the service. `parts` must live through it; their CPU is
    told too: it was not left for the service."""
    pid = service.worker
    counted = service.told("/bench")["counters"]
    beside = [each.pid for each in parts]
    before, before_beside = Mark.now(pid), [cpu_seconds(each) for each in beside]
    written = _sample_writes(pid, before.at + options.seconds, parts)
    after, after_beside = Mark.now(pid), [cpu_seconds(each) for each in beside]
    told = service.told("/bench")
    counters = {name: int(value - counted[name]) for name, value in told["counters"].items()}
    seconds, cpu = after.at - before.at, after.cpu - before.cpu
    return {
        "seconds": round(seconds, 3),
        "counters": counters,
        "polls_per_s": counters["ok"] / seconds,
        "ideal_polls_per_s": options.healthy / options.interval,
        "late_ms": spread(told["late"], 50, 99, scale=1e3),
        "late_answering_ms": spread(told["late_answering"], 50, 99, scale=1e3),
        "cpu_seconds": cpu,
        "core_percent": 100 * cpu / seconds,
        "cpu_per_1000": 1000 * cpu / counters["ok"] if counters["ok"] else None,
        "core_percent_beside": 100 * (sum(after_beside) - sum(before_beside)) / seconds,
        "rss_start": before.rss,
        "rss": after.rss,
        "rss_master": rss_bytes(service.master),
        "pss": pss_bytes(pid),
        "pss_master": pss_bytes(service.master),
        "pss_both": pss_bytes(pid, service.master),
        "lost": told["lost"],
        "flush_ms": spread((end - start for start, end in told["flushes"]), 50, scale=1e3),
        "written": writes_per_day(written, told["flushes"]),
    }


def _sample_writes(pid: int, until: float, parts: list[Part]) -> list[tuple[float, int]]:
    """(time, bytes written so far) all through the window."""
    samples = [(time.monotonic(), written_bytes(pid))]
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(SAMPLE_SECONDS, left))
        samples.append((time.monotonic(), written_bytes(pid)))
        for part in parts:
            part.check()
    return samples


def writes_per_day(samples: list[tuple[float, int]], flushes: list[list[float]]) -> dict[str, Any]:
    """The window has more flushes than a day of the default PERSIST_INTERVAL: so the bytes of a flush, with the 5 s
    after it, count 288 times a day, and all others for the seconds in which they were written."""
    flushed, flushing, rest = 0, 0.0, 0
    for (start, before), (end, after) in zip(samples, samples[1:], strict=False):
        if any(start < stop + FLUSH_TAIL_SECONDS and end > begin for begin, stop in flushes):
            flushed, flushing = flushed + after - before, flushing + end - start
        else:
            rest += after - before
    quiet = samples[-1][0] - samples[0][0] - flushing
    per_flush = flushed / len(flushes) if flushes else None
    per_second = rest / quiet if quiet > 1 else None
    known = per_flush is not None and per_second is not None
    per_day = (per_flush or 0) * DAY / PERSIST_SECONDS + (per_second or 0) * DAY if known else None
    return {"flushes": len(flushes), "per_flush": per_flush, "per_second_between": per_second, "per_day": per_day}
