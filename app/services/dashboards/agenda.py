"""When each board is to be attended to next. Pure, but for what it remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from app.services.dashboards.retry import backoff

RECHECK_SECONDS = 300.0


class Agenda:
    """Owns each board's due time, in seconds of the monotonic clock, and how often in a row it would not settle."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._due: dict[str, float] = {}
        self._failures: dict[str, int] = {}

    def add(self, uids: Iterable[str], now: float) -> None:
        """At once."""
        self._due |= dict.fromkeys(uids, now)

    def add_all(self, now: float) -> None:
        """Every board that is known, at once."""
        self.add(list(self._due), now)

    def drop(self, uid: str) -> None:
        self._due.pop(uid, None)
        self._failures.pop(uid, None)

    def next(self) -> tuple[str, float]:
        """Who is first, and when."""
        uid = min(self._due, key=self._due.__getitem__)
        return uid, self._due[uid]

    def settled(self, uid: str, now: float) -> None:
        self._failures.pop(uid, None)
        self._due[uid] = now + RECHECK_SECONDS * (1 + self._chance() / 10)

    def unsettled(self, uid: str, now: float) -> int:
        """Soon again; returns how often in a row that was."""
        failures = self._failures[uid] = self._failures.get(uid, 0) + 1
        self._due[uid] = now + backoff(failures, self._chance())
        return failures
