"""Clients of the REST side: a Prometheus's scrape, the list, /healthz, each in a thread that asks now and then."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping
from threading import Event, Thread
from typing import Any

from .figures import spread


class Probe:
    """Asks for `path` every `every` seconds from `start` to `stop`, over a new connection each time; at `place` (0 to
    1) within that time, so that probes do not wait for each other. `conditional`: from the second time on with
    If-None-Match, where there is an ETag."""

    def __init__(self, port: int, path: str, every: float, place: float, *, conditional: bool = False) -> None:
        self._port = port
        self._path = path
        self._every = every
        self._place = place
        self._conditional = conditional
        self._etag: str | None = None
        self._asked = 0.0
        self._ending = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self.mark()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ending.set()
        self._thread.join(60)

    def mark(self) -> None:
        self._answers: list[tuple[int, float, int]] = []

    def _run(self) -> None:
        due = time.monotonic() + self._place * self._every
        while not self._ending.wait(max(0.0, due - time.monotonic())):
            self._answers.append(self._ask({"If-None-Match": self._etag} if self._etag else {}))
            due = max(due + self._every, time.monotonic())

    def _ask(self, headers: Mapping[str, str]) -> tuple[int, float, int]:
        """Status, seconds from before the connect to the last byte, bytes of the body."""
        self._asked = began = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("GET", self._path, headers=dict(headers))
            answer = connection.getresponse()
            size = len(answer.read())
        except OSError:
            return 0, time.perf_counter() - began, 0
        finally:
            connection.close()
        if self._conditional:
            self._etag = answer.getheader("ETag")
        return answer.status, time.perf_counter() - began, size

    def report(self) -> dict[str, Any]:
        """p50, p99 and max in ms, the largest body, and how many were neither 200 nor 304. Where not one was answered:
        for how long the one that is asked waits already."""
        answers = self._answers
        statuses = [status for status, _, _ in answers]
        times = [seconds for _, seconds, _ in answers] or [time.perf_counter() - self._asked]
        return {
            **spread(times, 50, 99, scale=1e3),
            "count": len(answers),
            "bytes": max((size for _, _, size in answers), default=None),
            "not_modified": statuses.count(304),
            "bad": sum(status not in (200, 304) for status in statuses),
        }
