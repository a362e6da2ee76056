"""How often jobs may restart miners, over all jobs."""

from __future__ import annotations

from collections import deque

from app.clock import Clock

# A miner is away for some 20 s after a restart. Thirty a minute keep about ten of a fleet away at a time: a router, a
# pool and a shared power supply bear that, and a bad setting is noticed before it has taken everything down.
RESTARTS, PER_SECONDS = 30, 60.0


class RestartBudget:
    """Owns when the last restarts were. Acts of single users do not count."""

    def __init__(self, clock: Clock, restarts: int = RESTARTS, per_seconds: float = PER_SECONDS) -> None:
        self._clock = clock
        self._per_seconds = per_seconds
        self._spent: deque[float] = deque(maxlen=restarts)

    def spend(self) -> float:
        """0 when a restart may go out now, which is then counted; else the seconds until one may."""
        now = self._clock.monotonic()
        if len(self._spent) == self._spent.maxlen:
            left = self._spent[0] + self._per_seconds - now
            if left > 0:
                return left
        self._spent.append(now)
        return 0.0

    def give_back(self) -> None:
        """Take back the last restart that was counted: it did not happen."""
        if self._spent:
            self._spent.pop()
