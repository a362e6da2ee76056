"""The rate limit of restarts, shared by all jobs."""

from __future__ import annotations

from collections import deque

from app.clock import Clock

# A restart takes some 20 s. With thirty per minute about ten devices restart at the same time: a router, a pool and a
# shared power supply can handle that, and a bad setting is detected before it has reached the whole fleet.
RESTARTS, PER_SECONDS = 30, 60.0


class RestartBudget:
    """Owns the times of the last restarts. Restarts by single users do not count."""

    def __init__(self, clock: Clock, restarts: int = RESTARTS, per_seconds: float = PER_SECONDS) -> None:
        self._clock = clock
        self._per_seconds = per_seconds
        self._restarts: deque[float] = deque(maxlen=restarts)

    def acquire_restart(self) -> float:
        """Return 0 and count a restart if one is allowed now, else the seconds until one is."""
        now = self._clock.monotonic()
        if len(self._restarts) == self._restarts.maxlen:
            left = self._restarts[0] + self._per_seconds - now
            if left > 0:
                return left
        self._restarts.append(now)
        return 0.0

    def release_restart(self) -> None:
        """Do not count the last restart: it did not happen."""
        if self._restarts:
            self._restarts.pop()
