"""Backoff and circuit breaker for calls to Grafana."""

from __future__ import annotations

from app.backoff import Backoff
from app.errors import GrafanaError, GrafanaRefused

MAX_BACKOFF_SECONDS = 60.0
BACKOFF = Backoff(first=1.0, longest=MAX_BACKOFF_SECONDS, jitter=(1.0, 0.5))


class CircuitBreaker:
    """A circuit breaker: open while Grafana fails. After a backoff a single call tests whether it works again."""

    def __init__(self) -> None:
        self._failures = 0
        self._open_until = 0.0
        self.error: GrafanaError | None = None

    def seconds_until_retry(self, now: float) -> float:
        """Return the seconds until the next call is allowed."""
        return max(0.0, self._open_until - now) if self.error else 0.0

    def record_failure(self, error: GrafanaError, now: float, jitter: float) -> bool:
        """Open the circuit. Return True if it was closed or the reason has changed, so that it is worth a log line.

        After GrafanaRefused, which needs a configuration change, the delay is at least 60 s.
        """
        is_new = self.error is None or self.error.reason != error.reason
        self._failures += 1
        refused = isinstance(error, GrafanaRefused)
        delay = MAX_BACKOFF_SECONDS * (1 + jitter / 2) if refused else BACKOFF.delay_after(self._failures, jitter)
        self._open_until = now + delay
        self.error = error
        return is_new

    def record_success(self) -> bool:
        """Close the circuit. Return True if it was open."""
        was_open, self.error, self._failures = self.error is not None, None, 0
        return was_open
