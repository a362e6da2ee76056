"""What can be seen exactly only inside the service: how late each poll began, when readings were flushed, who was lost.

Put in by gunicorn_conf.py from outside, before the service starts; GET /bench tells, and begins anew.
"""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Callable
from typing import Any

import gevent
import orjson
from flask import Flask, Response

from app.events import DeviceFailed, DeviceObserved
from app.models import Status
from app.runtime import Runtime

from .loop_watch import LoopWatch

COUNTERS = {
    "ok": ("pluto_polls_total", {"outcome": "ok"}),
    "failed": ("pluto_polls_total", {"outcome": "failed"}),
    "skipped": ("pluto_polls_total", {"outcome": "skipped"}),
    "crashes": ("pluto_monitor_crashes_total", {}),
    "events_dropped": ("pluto_socket_events_dropped_total", {}),
    "batches": ("pluto_store_write_batches", {}),
}


class Observer:
    """Costs a poll less than 1 µs, and 16 bytes until they are taken."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.watch = LoopWatch()
        self._pending: dict[Any, float] = {}
        self._first_polls: dict[str, float] = {}
        self._started = math.inf  # who is polled before that was in time
        self._begin()
        # Of an object's attributes, which mypy takes for methods.
        setattr(runtime.health, "late", self._around_late(runtime.health.late))  # noqa: B010
        setattr(runtime.fleet, "flush", self._around_flush(runtime.fleet.flush))  # noqa: B010
        runtime.events.subscribe(DeviceObserved, self._observed)
        runtime.events.subscribe(DeviceFailed, self._failed)

    def _begin(self) -> None:
        self._late = array("d")
        self._late_answering = array("d")
        self._flushes: list[tuple[float, float]] = []
        self._lost: set[str] = set()

    def started(self) -> None:
        """The service is open for work: the first interval begins."""
        self._started = time.monotonic()

    def add_routes(self, app: Flask) -> None:
        app.add_url_rule("/bench", "bench", self._take)
        app.add_url_rule("/bench/fleet", "bench_fleet", self._fleet)
        app.add_url_rule("/bench/watch/<any(on, off):switch>", "bench_watch", self._switch)

    def _around_late(self, late: Callable[[float], None]) -> Callable[[float], None]:
        def noted(seconds: float) -> None:
            late(seconds)
            self._late.append(seconds)
            self._pending[gevent.getcurrent()] = seconds

        return noted

    def _observed(self, event: DeviceObserved) -> None:
        """In the greenlet of the poll that began so late."""
        seconds = self._pending.pop(gevent.getcurrent(), None)
        if seconds is not None:
            self._late_answering.append(seconds)
        if event.tracked.mac not in self._first_polls:
            self._first_polls[event.tracked.mac] = time.monotonic() - self._started

    def _failed(self, event: DeviceFailed) -> None:
        if event.tracked.observation.status is Status.OFFLINE:
            self._lost.add(event.tracked.mac)

    def _around_flush(self, flush: Callable[[], None]) -> Callable[[], None]:
        def noted() -> None:
            began = time.monotonic()
            flush()
            self._flushes.append((began, time.monotonic()))

        return noted

    def _take(self) -> Response:
        told = {
            "late": self._late.tolist(),
            "late_answering": self._late_answering.tolist(),
            "flushes": self._flushes,
            "lost": sorted(self._lost),
            "gaps": self.watch.take(),
            "counters": {name: self._counter(*which) for name, which in COUNTERS.items()},
        }
        encoded = orjson.dumps(told)
        self._begin()
        self.watch.take()  # what this call cost is not the service's
        return Response(encoded, mimetype="application/json")

    def _counter(self, name: str, labels: dict[str, str]) -> float:
        return self._runtime.registry.get_sample_value(name, labels) or 0.0

    def _fleet(self) -> dict[str, float]:
        """`all_polled`: seconds from `started` until the last of those polled so far was polled first."""
        monitored = self._runtime.fleet.monitored()
        online = sum(each.status == Status.ONLINE for each in monitored)
        return {"online": online, "all_polled": max(self._first_polls.values(), default=0.0)}

    def _switch(self, switch: str) -> dict[str, str]:
        {"on": self.watch.start, "off": self.watch.stop}[switch]()
        return {"watch": switch}
