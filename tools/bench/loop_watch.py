"""How long the service's loop was held, and by what: runs inside the service's process, while it is switched on.

A greenlet that wants to run every 5 ms measures how late it is. While it is more than 20 ms late, a thread of the
system's looks every 5 ms at what the loop's thread is doing. Both together cost about 2.5 % of a core, which is why CPU
is measured without them.
"""

from __future__ import annotations

import gc
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import gevent
from gevent import monkey

TICK_SECONDS = 0.005
NOTED_SECONDS = 0.005
LOOK_SECONDS = 0.020
KEPT = 4
COLLECTION = "garbage collection"
UNSEEN = "too short to see"
IDLE = "the loop itself"
NO_CORE = "waiting for a core"
_APP = Path(__file__).resolve().parents[2] / "app"
_OURS = f"{_APP}/"
_TELLING = tuple(f"{_APP / room}/" for room in ("blueprints", "services"))


class LoopWatch:
    """Owns its greenlet and its thread, from `start` to `stop`. The thread shares only simple values."""

    def __init__(self) -> None:
        self._hub_thread = monkey.get_original("_thread", "get_ident")()
        self._sleep = monkey.get_original("time", "sleep")
        self._on = False
        self._ticked = 0.0
        self._seen: list[str] = []
        self._collecting = 0.0
        self._collected = 0.0
        self._gaps: list[dict[str, Any]] = []

    def start(self) -> None:
        if not self._on:
            self._on = True
            self._ticked = time.monotonic()
            gevent.spawn(self._tick)
            gc.callbacks.append(self._collection)
            monkey.get_original("_thread", "start_new_thread")(self._look, ())

    def stop(self) -> None:
        if self._on:
            self._on = False
            gc.callbacks.remove(self._collection)

    def take(self) -> list[dict[str, Any]]:
        """The longest gaps since the last call, and those that took most CPU, longest first: ms, of that on the CPU,
        what ran, how many looks saw it."""
        gaps, self._gaps = self._gaps, []
        self._ticked = time.monotonic()
        return worst(gaps)

    def _tick(self) -> None:
        while self._on:
            self._ticked, cpu, self._seen, self._collected = time.monotonic(), time.thread_time(), [], 0.0
            gevent.sleep(TICK_SECONDS)
            late = time.monotonic() - self._ticked - TICK_SECONDS
            if late > NOTED_SECONDS:
                self._note(late, time.thread_time() - cpu)

    def _note(self, late: float, cpu: float) -> None:
        what, looks = (Counter(self._seen).most_common(1) or [(UNSEEN, 0)])[0]
        if self._collected > late / 2:
            what = COLLECTION
        elif cpu < late / 2 and what in (UNSEEN, IDLE):
            what = NO_CORE
        gap = {"ms": round(late * 1e3, 1), "cpu_ms": round(min(cpu, late) * 1e3, 1), "what": what}
        gap |= {"looks": looks, "of": len(self._seen), "collecting_ms": round(self._collected * 1e3, 1)}
        self._gaps.append(gap)

    def _collection(self, phase: str, info: dict[str, int]) -> None:
        """No other thread gets to look while it lasts."""
        if phase == "start":
            self._collecting = time.perf_counter()
        else:
            self._collected += time.perf_counter() - self._collecting

    def _look(self) -> None:
        while self._on:
            self._sleep(TICK_SECONDS)
            if time.monotonic() - self._ticked - TICK_SECONDS > LOOK_SECONDS:
                self._seen.append(name_of(sys._current_frames().get(self._hub_thread)))


def worst(gaps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    longest, busiest = (sorted(gaps, key=lambda gap: -gap[by])[:KEPT] for by in ("ms", "cpu_ms"))
    return longest + [gap for gap in busiest if gap not in longest]


def name_of(frame: FrameType | None) -> str:
    """`Metrics.render (metrics.py:9) in metrics (web.py:8)`: the innermost frame of the service's, and the outermost
    that is no middleware."""
    innermost, ours = frame, []
    while frame is not None:
        if frame.f_code.co_filename.startswith(_OURS):
            ours.append(frame)
        frame = frame.f_back
    if not ours:
        return IDLE if innermost is None or innermost.f_code.co_qualname == "Hub.run" else _name(innermost)
    telling = [each for each in ours if each.f_code.co_filename.startswith(_TELLING)] or ours
    return " in ".join(dict.fromkeys((_name(ours[0]), _name(telling[-1]))))


def _name(frame: FrameType) -> str:
    return f"{frame.f_code.co_qualname} ({frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno})"
