"""Orders the boards by the time of their next check."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heappop, heappush

from app.services.dashboards.circuit_breaker import BACKOFF

RECHECK_SECONDS = 300.0
# A check costs 5 ms here and more in Grafana: two per second are 1 % of a core, for any number of boards.
CHECKS_PER_SECOND = 2.0


class BoardDueQueue:
    """Owns each board's due time (seconds of the monotonic clock) and its number of consecutive failures."""

    def __init__(self, rng: Callable[[], float]) -> None:
        self._rng = rng
        self._due: dict[str, float] = {}
        self._queue: list[tuple[float, str]] = []
        self._failures: dict[str, int] = {}

    def schedule_now(self, uids: Iterable[str], now: float) -> None:
        """Make these boards due now."""
        for uid in uids:
            self._set_due_time(uid, now)

    def schedule_all_now(self, now: float) -> None:
        """Make every known board due now."""
        self.schedule_now(list(self._due), now)

    def remove_board(self, uid: str) -> None:
        self._due.pop(uid, None)
        self._failures.pop(uid, None)

    def peek_first(self) -> tuple[str, float]:
        """Return the uid and due time of the first board. Raises IndexError if there is none."""
        while self._due.get(self._queue[0][1]) != self._queue[0][0]:
            heappop(self._queue)  # an outdated entry: the board was rescheduled or removed
        due, uid = self._queue[0]
        return uid, due

    def schedule_recheck(self, uid: str, now: float) -> None:
        """Schedule the regular check, with 10 % jitter, and reset the failures."""
        self._failures.pop(uid, None)
        interval = max(RECHECK_SECONDS, len(self._due) / CHECKS_PER_SECOND)
        self._set_due_time(uid, now + interval * (1 + self._rng() / 10))

    def schedule_retry(self, uid: str, now: float) -> int:
        """Schedule a retry after a backoff. Return the number of consecutive failures."""
        failures = self._failures[uid] = self._failures.get(uid, 0) + 1
        self._set_due_time(uid, now + BACKOFF.delay_after(failures, self._rng()))
        return failures

    def _set_due_time(self, uid: str, due: float) -> None:
        self._due[uid] = due
        heappush(self._queue, (due, uid))
