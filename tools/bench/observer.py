"""Figures that only the service's own process can give: lateness of polls, flushes, blocks of the event loop.

gunicorn_conf.py adds the observer before the service starts; GET /bench reports the figures and clears them.
"""

from __future__ import annotations

import gc
import math
import sys
import time
from array import array
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import gevent
import orjson
from flask import Flask, Response, request
from gevent import monkey

from app.events import DeviceFailed, DeviceObserved
from app.models import Status
from app.runtime import Runtime

COUNTERS = {
    "ok": ("pluto_polls_total", {"outcome": "ok"}),
    "failed": ("pluto_polls_total", {"outcome": "failed"}),
    "skipped": ("pluto_polls_total", {"outcome": "skipped"}),
    "crashes": ("pluto_monitor_crashes_total", {}),
    "events_dropped": ("pluto_socket_events_dropped_total", {}),
    "batches": ("pluto_store_write_batches", {}),
}
TICK_SECONDS = 0.005
GAP_SECONDS = 0.005  # A shorter delay of the ticker is not recorded.
STACK_SECONDS = 0.020  # After such a delay the stack of the event loop is sampled every tick.
GAPS_REPORTED = 4
GARBAGE_COLLECTION, UNKNOWN = "garbage collection", "too short to sample"
IDLE, WAITING_FOR_CORE = "the loop itself", "waiting for a core"
_APP = f"{Path(__file__).resolve().parents[2] / 'app'}/"
_ENTRY_POINTS = tuple(f"{_APP}{package}/" for package in ("blueprints", "services", "socketio"))


class Observer:
    """Adds less than 1 µs to a poll, and 16 bytes until the next report."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._observe_lateness, self._flush_readings = (
            runtime.service_metrics.observe_lateness,
            runtime.fleet.flush_readings,
        )
        self._lateness_of_poll: dict[Any, float] = {}
        self._first_polls: dict[str, float] = {}
        self._started = math.inf
        self.watch = LoopWatch()
        self._clear_figures()
        runtime.service_metrics.observe_lateness = self._record_lateness  # type: ignore[method-assign]
        runtime.fleet.flush_readings = self._record_flush  # type: ignore[method-assign]
        runtime.events.subscribe(DeviceObserved, self._record_success)
        runtime.events.subscribe(DeviceFailed, self._record_failure)

    def _clear_figures(self) -> None:
        self._late, self._late_answering = array("d"), array("d")
        self._flushes: list[tuple[float, float]] = []
        self._lost: set[str] = set()

    def mark_started(self) -> None:
        """Start the first interval: the service is ready."""
        self._started = time.monotonic()

    def add_routes(self, app: Flask) -> None:
        app.add_url_rule("/bench", "bench", self._report_figures)
        app.add_url_rule("/bench/fleet", "bench_fleet", self._report_fleet)

    def _record_lateness(self, seconds: float) -> None:
        self._observe_lateness(seconds)
        self._late.append(seconds)
        self._lateness_of_poll[gevent.getcurrent()] = seconds

    def _record_success(self, event: DeviceObserved) -> None:
        """Run in the greenlet of the poll, whose lateness is known."""
        seconds = self._lateness_of_poll.pop(gevent.getcurrent(), None)
        if seconds is not None:
            self._late_answering.append(seconds)
        if event.tracked.mac not in self._first_polls:
            self._first_polls[event.tracked.mac] = time.monotonic() - self._started

    def _record_failure(self, event: DeviceFailed) -> None:
        if event.tracked.observation.status is Status.OFFLINE:
            self._lost.add(event.tracked.mac)

    def _record_flush(self) -> None:
        started = time.monotonic()
        self._flush_readings()
        self._flushes.append((started, time.monotonic()))

    def _report_figures(self) -> Response:
        """Report the figures since the last report and clear them; `?watch=on` starts the loop watch."""
        read_counter = self._runtime.registry.get_sample_value
        figures = {
            "late": self._late.tolist(),
            "late_answering": self._late_answering.tolist(),
            "flushes": self._flushes,
            "lost": sorted(self._lost),
            "gaps": self.watch.take_gaps(),
            "counters": {name: read_counter(*sample) or 0.0 for name, sample in COUNTERS.items()},
        }
        body = orjson.dumps(figures)
        self._clear_figures()
        if request.args.get("watch") == "on":
            self.watch.start()
        self.watch.take_gaps()  # This request itself must not count as a block of the service.
        return Response(body, mimetype="application/json")

    def _report_fleet(self) -> dict[str, float]:
        """Report the devices online, and the seconds from the start to the last first poll of a device so far."""
        online = sum(device.status == Status.ONLINE for device in self._runtime.fleet.monitored_devices())
        return {"online": online, "all_polled": max([0.0, *self._first_polls.values()])}


class LoopWatch:
    """Records how long the event loop was blocked, and by which function, from `start` to `stop`.

    A greenlet that wakes every 5 ms measures its delay. While the delay is over 20 ms, a native thread samples the
    stack of the loop every 5 ms. Both cost about 2.5 % of a core, so CPU is measured without them.
    """

    def __init__(self) -> None:
        self._hub_thread = monkey.get_original("_thread", "get_ident")()
        self._sleep = monkey.get_original("time", "sleep")
        self._on = False
        self._ticked = self._collection_started = self._collected = 0.0
        self._samples: list[str] = []
        self._gaps: list[dict[str, Any]] = []

    def start(self) -> None:
        if not self._on:
            self._on = True
            self._ticked = time.monotonic()
            gevent.spawn(self._run_ticker)
            gc.callbacks.append(self._time_collection)
            monkey.get_original("_thread", "start_new_thread")(self._sample_stacks, ())

    def stop(self) -> None:
        if self._on:
            self._on = False
            gc.callbacks.remove(self._time_collection)

    def take_gaps(self) -> list[dict[str, Any]]:
        """Return the longest gaps since the last call and those with most CPU time, longest first, in ms."""
        gaps, self._gaps = self._gaps, []
        self._ticked = time.monotonic()
        return select_worst_gaps(gaps)

    def _run_ticker(self) -> None:
        while self._on:
            self._ticked, cpu, self._samples, self._collected = time.monotonic(), time.thread_time(), [], 0.0
            gevent.sleep(TICK_SECONDS)
            late = time.monotonic() - self._ticked - TICK_SECONDS
            if late > GAP_SECONDS:
                self._record_gap(late, min(time.thread_time() - cpu, late))

    def _record_gap(self, late: float, cpu: float) -> None:
        function, count = (Counter(self._samples).most_common(1) or [(UNKNOWN, 0)])[0]
        if self._collected > late / 2:
            function = GARBAGE_COLLECTION
        elif cpu < late / 2 and function in (UNKNOWN, IDLE):
            function = WAITING_FOR_CORE
        times = {"ms": late, "cpu_ms": cpu, "collecting_ms": self._collected}
        gap = {name: round(seconds * 1e3, 1) for name, seconds in times.items()}
        self._gaps.append({**gap, "what": function, "looks": count, "of": len(self._samples)})

    def _time_collection(self, phase: str, info: dict[str, int]) -> None:
        """Time the garbage collector, during which the sampling thread does not run."""
        if phase == "start":
            self._collection_started = time.perf_counter()
        else:
            self._collected += time.perf_counter() - self._collection_started

    def _sample_stacks(self) -> None:
        while self._on:
            self._sleep(TICK_SECONDS)
            if time.monotonic() - self._ticked - TICK_SECONDS > STACK_SECONDS:
                self._samples.append(describe_stack(sys._current_frames().get(self._hub_thread)))


def select_worst_gaps(gaps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    longest, busiest = (sorted(gaps, key=lambda gap: -gap[by])[:GAPS_REPORTED] for by in ("ms", "cpu_ms"))
    return longest + [gap for gap in busiest if gap not in longest]


def describe_stack(frame: FrameType | None) -> str:
    """Return `Metrics.render (metrics.py:9) in metrics (web.py:8)`: the service's innermost frame and its entry point.

    The entry point is the outermost frame in a package with entry points; middleware is left out.
    """
    innermost, frames = frame, []
    while frame is not None:
        if frame.f_code.co_filename.startswith(_APP):
            frames.append(frame)
        frame = frame.f_back
    if not frames:
        return IDLE if innermost is None or innermost.f_code.co_qualname == "Hub.run" else _describe_frame(innermost)
    entries = [each for each in frames if each.f_code.co_filename.startswith(_ENTRY_POINTS)] or frames
    return " in ".join(dict.fromkeys((_describe_frame(frames[0]), _describe_frame(entries[-1]))))


def _describe_frame(frame: FrameType) -> str:
    return f"{frame.f_code.co_qualname} ({Path(frame.f_code.co_filename).name}:{frame.f_lineno})"
