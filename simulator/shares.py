"""Shares and best difficulty: a Poisson process that is computed only on request.

A boot clears the counters, but not the best difficulty. The result depends only on the rng and on time.
"""

from __future__ import annotations

import math
from random import Random

HASHES_PER_DIFFICULTY = 2.0**32
MAX_STEPS = 200
REJECTED_PART = 0.003


class Shares:
    """Counters since boot (`accepted`, `rejected`), `best_session` since boot and `best` of all time."""

    __slots__ = ("accepted", "rejected", "best", "best_session", "_rng", "_next", "_rate")

    def __init__(self, rng: Random, best: float) -> None:
        self._rng = rng
        self._next = math.inf
        self._rate = 0.0
        self.accepted = 0
        self.rejected = 0
        self.best_session = 0.0
        self.best = best

    def reset_counters(self) -> None:
        """Clear the counters at a boot. The best difficulty stays, because the firmware stores it in flash."""
        self.accepted = self.rejected = 0
        self.best_session = 0.0
        self._next = math.inf
        self._rate = 0.0

    def add_history(self, count: int, difficulty: float) -> None:
        """Add the shares of a miner that has been running before the simulation began."""
        self.rejected = int(count * REJECTED_PART)
        self.accepted = count - self.rejected
        self._raise_best(self._draw_best(count, difficulty))

    def add_due_shares(self, now: float, hash_rate: float, difficulty: float) -> None:
        """Add the shares up to `now`, at `hash_rate` GH/s and the pool difficulty `difficulty`."""
        rate = hash_rate * 1e9 / (max(difficulty, 1.0) * HASHES_PER_DIFFICULTY)
        if rate != self._rate:
            self._rate = rate
            self._next = now + self._rng.expovariate(rate) if rate > 0 else math.inf
        steps = 0
        while self._next <= now:
            if steps == MAX_STEPS:
                self._add_remaining(now, difficulty)
                return
            steps += 1
            self._add_shares(1, difficulty)
            self._next += self._rng.expovariate(self._rate)

    def _add_remaining(self, now: float, difficulty: float) -> None:
        """Add the shares of a long time at once, by the normal approximation of the Poisson count."""
        mean = (now - self._next) * self._rate
        self._add_shares(max(0, round(self._rng.gauss(mean, math.sqrt(mean)))), difficulty)
        self._next = now + self._rng.expovariate(self._rate)

    def _add_shares(self, count: int, difficulty: float) -> None:
        if count == 0:
            return
        wrong = 1 if self._rng.random() < REJECTED_PART * count else 0
        self.rejected += wrong
        self.accepted += count - wrong
        self._raise_best(self._draw_best(count, difficulty))

    def _draw_best(self, count: int, difficulty: float) -> float:
        """Return the best of `count` shares: each is the pool difficulty divided by a uniform random number."""
        if count == 0:
            return 0.0
        luck = -math.expm1(math.log(1 - self._rng.random()) / count)
        return difficulty / max(luck, 1e-12)

    def _raise_best(self, value: float) -> None:
        self.best_session = max(self.best_session, value)
        self.best = max(self.best, value)
