"""The requests that a miner received, for the tests and the benchmark. Its size is bounded."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from .http_messages import Request

RECENT_REQUESTS = 20
KEPT_WRITES = 1000
WRITE_METHODS = frozenset({"PATCH", "POST", "PUT", "DELETE"})


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """One write request as it was received."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str]


@dataclass(slots=True)
class RequestLog:
    """Counters and last requests of one miner. A restart of the miner does not clear them."""

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    recent: deque[Request] = field(default_factory=lambda: deque(maxlen=RECENT_REQUESTS))
    writes: deque[WriteRequest] = field(default_factory=lambda: deque(maxlen=KEPT_WRITES))
    in_flight: int = 0
    max_in_flight: int = 0

    def record_request(self, request: Request) -> None:
        """Record a complete request."""
        self.requests[request.method, request.path] += 1
        self.recent.append(request)
        if request.method in WRITE_METHODS:
            self.writes.append(WriteRequest(request.method, request.path, request.body, request.headers))

    def begin_request(self) -> None:
        """Count one more request in flight."""
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def end_request(self) -> None:
        """Count one request in flight less."""
        self.in_flight -= 1
