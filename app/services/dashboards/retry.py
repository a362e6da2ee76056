"""When to ask Grafana again. Pure, but for the circuit's own state."""

from __future__ import annotations

from app.backoff import Backoff
from app.errors import GrafanaError, GrafanaRefused

SLOWEST_SECONDS = 60.0
BACKOFF = Backoff(first=1.0, longest=SLOWEST_SECONDS, jitter=(1.0, 0.5))


class Circuit:
    """Open while Grafana as a whole fails; then one call at a time tries whether it is back."""

    def __init__(self) -> None:
        self._failures = 0
        self._until = 0.0
        self.error: GrafanaError | None = None

    def wait(self, now: float) -> float:
        """Seconds until the next call may be tried."""
        return max(0.0, self._until - now) if self.error else 0.0

    def failed(self, error: GrafanaError, now: float, chance: float) -> bool:
        """True when it went down just now, or fails for another reason than before. A refusal, which only a person can
        mend, is not asked again within a minute."""
        news = self.error is None or self.error.reason != error.reason
        self._failures += 1
        refused = isinstance(error, GrafanaRefused)
        delay = SLOWEST_SECONDS * (1 + chance / 2) if refused else BACKOFF.delay_after(self._failures, chance)
        self._until = now + delay
        self.error = error
        return news

    def succeeded(self) -> bool:
        """True when it came back just now."""
        was_down, self.error, self._failures = self.error is not None, None, 0
        return was_down
