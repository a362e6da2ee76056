"""Periodic, timed HTTP requests to the service."""

from __future__ import annotations

import time
from contextlib import suppress
from threading import Event, Thread
from typing import Any

from tools.http_requests import send_request

from .measurements import summarize_samples


class Probe:
    """Sends a GET request every `every` seconds, each over a new connection, while it is used as a context manager.

    `offset` (0 to 1) is the place of the requests within that time, so that probes do not wait for each other. If an
    answer has an ETag, the next request carries it.
    """

    def __init__(self, server: str, path: str, every: float, offset: float) -> None:
        self._server, self._path, self._every, self._offset = server, path, every, offset
        self._sent = 0.0
        # Status, seconds from before the connect to the last byte, and size of the body of each answer.
        self.samples: list[tuple[int, float, int]] = []
        self._stopping = Event()
        self._thread = Thread(target=self._send_requests, daemon=True)

    def __enter__(self) -> Probe:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(60)

    def _send_requests(self) -> None:
        headers: dict[str, str] = {}
        due = time.monotonic() + self._offset * self._every
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            status, size = 0, 0
            self._sent = time.perf_counter()
            with suppress(OSError):
                answer, body = send_request(self._server, self._path, headers=headers)
                status, size = answer.status, len(body)
                headers = {"If-None-Match": etag} if (etag := answer.getheader("ETag")) else {}
            self.samples.append((status, time.perf_counter() - self._sent, size))
            due = max(due + self._every, time.monotonic())

    def report_samples(self) -> dict[str, Any]:
        """Return times in ms, the largest body, and the number of answers that were neither 200 nor 304.

        If no request was answered, the time is that for which the current one has been waiting.
        """
        statuses = [status for status, _, _ in self.samples]
        times = [seconds for _, seconds, _ in self.samples] or [time.perf_counter() - self._sent]
        return {
            **summarize_samples(times, 50, 99, scale=1e3),
            "count": len(statuses),
            "bytes": max((size for _, _, size in self.samples), default=None),
            "not_modified": statuses.count(304),
            "bad": sum(status not in (200, 304) for status in statuses),
        }
