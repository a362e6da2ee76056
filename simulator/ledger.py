"""What a miner was asked: the record that tests and the benchmark read. Bounded, whatever the load."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from .http import Request

RECENT = 20
WRITES = 1000
WRITING = frozenset({"PATCH", "POST", "PUT", "DELETE"})


@dataclass(frozen=True, slots=True)
class Write:
    """One writing request as it arrived."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str]


@dataclass(slots=True)
class Ledger:
    """Counts since the miner was made; reboots do not clear it."""

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    recent: deque[Request] = field(default_factory=lambda: deque(maxlen=RECENT))
    writes: deque[Write] = field(default_factory=lambda: deque(maxlen=WRITES))
    in_flight: int = 0
    max_in_flight: int = 0

    def note(self, request: Request) -> None:
        """A request arrived complete."""
        self.requests[request.method, request.path] += 1
        self.recent.append(request)
        if request.method in WRITING:
            self.writes.append(Write(request.method, request.path, request.body, request.headers))

    def begin(self) -> None:
        """One more request waits for its answer."""
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def end(self) -> None:
        """One less."""
        self.in_flight -= 1
