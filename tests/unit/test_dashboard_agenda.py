"""The due queue of the dashboards: when each one is checked."""

from __future__ import annotations

import pytest

from app.services.dashboards.due_queue import CHECKS_PER_SECOND, RECHECK_SECONDS, BoardDueQueue


@pytest.fixture
def due_queue() -> BoardDueQueue:
    return BoardDueQueue(lambda: 0.0)


def settle_until(due_queue: BoardDueQueue, until: float, now: float = 0.0) -> list[tuple[str, float]]:
    """Return (uid, time) of each check until then, if every dashboard settles at once."""
    settled = []
    while due_queue.peek_first()[1] <= until:
        uid, due = due_queue.peek_first()
        settled.append((uid, max(now, due)))
        due_queue.schedule_recheck(uid, max(now, due))
    return settled


def test_each_dashboard_is_due_at_once_and_every_five_minutes(due_queue: BoardDueQueue) -> None:
    due_queue.schedule_now(["a", "b"], 10.0)
    assert settle_until(due_queue, 400.0) == [("a", 10.0), ("b", 10.0), ("a", 310.0), ("b", 310.0)]


def test_previous_due_time_is_discarded(due_queue: BoardDueQueue) -> None:
    due_queue.schedule_now(["a"], 10.0)
    due_queue.schedule_recheck("a", 10.0)
    due_queue.schedule_now(["a"], 20.0)
    assert settle_until(due_queue, 10.0 + RECHECK_SECONDS) == [("a", 20.0)]


def test_dropped_dashboard_is_not_due(due_queue: BoardDueQueue) -> None:
    due_queue.schedule_now(["a", "b"], 10.0)
    due_queue.remove_board("a")
    assert due_queue.peek_first() == ("b", 10.0)
    due_queue.schedule_all_now(20.0)
    assert settle_until(due_queue, 30.0) == [("b", 20.0)]


def test_unsettled_dashboard_is_retried_with_backoff(due_queue: BoardDueQueue) -> None:
    due_queue.schedule_now(["a"], 0.0)
    pauses = []
    for failures in range(1, 9):
        now = due_queue.peek_first()[1]
        assert due_queue.schedule_retry("a", now) == failures
        pauses.append(due_queue.peek_first()[1] - now)
    assert pauses == sorted(pauses)
    assert 0 < pauses[0] < 5 < pauses[-1] <= 60


def test_many_dashboards_are_checked_at_limited_rate(due_queue: BoardDueQueue) -> None:
    due_queue.schedule_now([f"{number}" for number in range(5000)], 0.0)
    settle_until(due_queue, 0.0)
    assert due_queue.peek_first()[1] == 5000 / CHECKS_PER_SECOND
    assert len(due_queue._queue) <= 2 * 5000
