"""HTTP requests to processes on this machine, each over a new connection: single ones and periodic, timed ones."""

from __future__ import annotations

import http.client
import json
import time
from threading import Event, Thread
from typing import Any, NamedTuple

from tools.child_processes import ProcessFailed

from .measurements import summarize_samples

FAILED = 0


class Answer(NamedTuple):
    status: int
    body: bytes
    etag: str | None = None


def send_request(
    server: str, path: str, method: str = "GET", body: Any = None, etag: str | None = None, timeout: float = 60.0
) -> Answer:
    """Send one request, with `body` as JSON and `etag` as If-None-Match, to `server` (HOST:PORT). Raises OSError."""
    connection = http.client.HTTPConnection(server, timeout=timeout)
    headers = {} if body is None else {"Content-Type": "application/json"}
    headers |= {"If-None-Match": etag} if etag else {}
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(), answer.getheader("ETag"))
    finally:
        connection.close()


def fetch_json(server: str, path: str, method: str = "GET", body: Any = None) -> Any:
    """Return the parsed answer. Raises ProcessFailed on every status but 200."""
    answer = send_request(server, path, method, body)
    if answer.status != 200:
        raise ProcessFailed(f"{method} {path} answered {answer.status}: {answer.body[:300]!r}")
    return json.loads(answer.body)


class Probe:
    """Sends a GET request every `every` seconds, in a thread, while it is used as a context manager.

    `offset` (0 to 1) is the place of the requests within that time, so that probes do not wait for each other. If an
    answer has an ETag, the next request carries it.
    """

    def __init__(self, server: str, path: str, every: float, offset: float) -> None:
        self._server, self._path, self._every, self._offset = server, path, every, offset
        self._etag: str | None = None
        self._asked = 0.0
        self._stopping = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self.clear_samples()

    def __enter__(self) -> Probe:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(60)

    def clear_samples(self) -> None:
        self._samples: list[tuple[int, float, int]] = []

    def _run(self) -> None:
        due = time.monotonic() + self._offset * self._every
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            self._samples.append(self._take_sample())
            due = max(due + self._every, time.monotonic())

    def _take_sample(self) -> tuple[int, float, int]:
        """Return the status, the seconds from before the connect to the last byte, and the size of the body."""
        self._asked = time.perf_counter()
        try:
            answer = send_request(self._server, self._path, etag=self._etag)
        except OSError:
            answer = Answer(FAILED, b"")
        else:
            self._etag = answer.etag
        return answer.status, time.perf_counter() - self._asked, len(answer.body)

    def report_samples(self) -> dict[str, Any]:
        """Return times in ms, the largest body, and the number of answers that were neither 200 nor 304.

        If no request was answered, the time is that for which the current one has been waiting.
        """
        statuses = [status for status, _, _ in self._samples]
        times = [seconds for _, seconds, _ in self._samples] or [time.perf_counter() - self._asked]
        return {
            **summarize_samples(times, 50, 99, scale=1e3),
            "count": len(statuses),
            "bytes": max((size for _, _, size in self._samples), default=None),
            "not_modified": statuses.count(304),
            "bad": sum(status not in (200, 304) for status in statuses),
        }
