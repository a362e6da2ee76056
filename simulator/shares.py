"""Shares and best difficulty: a Poisson process that is advanced only when somebody looks.

Owns the counters that a reboot clears and the best difficulty that it does not. Deterministic by its random
source.
"""

from __future__ import annotations

import math
from random import Random

HASHES_PER_DIFFICULTY = 2.0**32
MAX_STEPS = 200
REJECTED_PART = 0.003


class Shares:
    """Counters since boot (`accepted`, `rejected`), `best_session` since boot and `best` of all time."""

    __slots__ = ("accepted", "rejected", "best", "best_session", "_random", "_next", "_rate")

    def __init__(self, random: Random, best: float) -> None:
        self._random = random
        self._next = math.inf
        self._rate = 0.0
        self.accepted = 0
        self.rejected = 0
        self.best_session = 0.0
        self.best = best

    def reset(self) -> None:
        """A reboot: everything but the best difficulty, which lies in flash, starts again."""
        self.accepted = self.rejected = 0
        self.best_session = 0.0
        self._next = math.inf
        self._rate = 0.0

    def preload(self, count: int, difficulty: float) -> None:
        """The history of a miner that has been running before the simulation began."""
        self.rejected = int(count * REJECTED_PART)
        self.accepted = count - self.rejected
        self._raise_best(self._best_of(count, difficulty))

    def advance(self, now: float, hash_rate: float, difficulty: float) -> None:
        """Let the shares up to `now` arrive, at `hash_rate` GH/s on pool difficulty `difficulty`."""
        rate = hash_rate * 1e9 / (max(difficulty, 1.0) * HASHES_PER_DIFFICULTY)
        if rate != self._rate:
            self._rate = rate
            self._next = now + self._random.expovariate(rate) if rate > 0 else math.inf
        steps = 0
        while self._next <= now:
            if steps == MAX_STEPS:
                self._leap(now, difficulty)
                return
            steps += 1
            self._add(1, difficulty)
            self._next += self._random.expovariate(self._rate)

    def _leap(self, now: float, difficulty: float) -> None:
        """Nobody looked for long: the rest at once, as the normal approximation of the Poisson count."""
        mean = (now - self._next) * self._rate
        self._add(max(0, round(self._random.gauss(mean, math.sqrt(mean)))), difficulty)
        self._next = now + self._random.expovariate(self._rate)

    def _add(self, count: int, difficulty: float) -> None:
        if count == 0:
            return
        wrong = 1 if self._random.random() < REJECTED_PART * count else 0
        self.rejected += wrong
        self.accepted += count - wrong
        self._raise_best(self._best_of(count, difficulty))

    def _best_of(self, count: int, difficulty: float) -> float:
        """Best of `count` shares: a share's difficulty is the pool's divided by a uniform number."""
        if count == 0:
            return 0.0
        luck = -math.expm1(math.log(1 - self._random.random()) / count)
        return difficulty / max(luck, 1e-12)

    def _raise_best(self, value: float) -> None:
        self.best_session = max(self.best_session, value)
        self.best = max(self.best, value)
