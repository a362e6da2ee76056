"""When each board is to be attended to next. Pure, but for what it remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heappop, heappush

from app.services.dashboards.retry import BACKOFF

RECHECK_SECONDS = 300.0
# A look costs 5 ms here and more in Grafana: two a second are a percent of a core, however many boards there are.
LOOKS_PER_SECOND = 2.0


class Agenda:
    """Owns each board's due time, in seconds of the monotonic clock, and how often in a row it would not settle."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._due: dict[str, float] = {}
        self._queue: list[tuple[float, str]] = []
        self._failures: dict[str, int] = {}

    def add(self, uids: Iterable[str], now: float) -> None:
        """At once."""
        for uid in uids:
            self._put(uid, now)

    def add_all(self, now: float) -> None:
        """Every board that is known, at once."""
        self.add(list(self._due), now)

    def drop(self, uid: str) -> None:
        self._due.pop(uid, None)
        self._failures.pop(uid, None)

    def next(self) -> tuple[str, float]:
        """Who is first, and when. Raises IndexError when there is no board."""
        while self._due.get(self._queue[0][1]) != self._queue[0][0]:
            heappop(self._queue)  # of a time that was changed meanwhile, or of a board that was dropped
        due, uid = self._queue[0]
        return uid, due

    def settled(self, uid: str, now: float) -> None:
        self._failures.pop(uid, None)
        pause = max(RECHECK_SECONDS, len(self._due) / LOOKS_PER_SECOND)
        self._put(uid, now + pause * (1 + self._chance() / 10))

    def unsettled(self, uid: str, now: float) -> int:
        """Soon again; returns how often in a row that was."""
        failures = self._failures[uid] = self._failures.get(uid, 0) + 1
        self._put(uid, now + BACKOFF.delay_after(failures, self._chance()))
        return failures

    def _put(self, uid: str, due: float) -> None:
        self._due[uid] = due
        heappush(self._queue, (due, uid))
