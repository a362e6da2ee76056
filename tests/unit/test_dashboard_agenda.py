"""When each dashboard is attended to."""

from __future__ import annotations

import pytest

from app.services.dashboards.due_queue import LOOKS_PER_SECOND, RECHECK_SECONDS, Agenda


@pytest.fixture
def agenda() -> Agenda:
    return Agenda(lambda: 0.0)


def attended(agenda: Agenda, until: float, now: float = 0.0) -> list[tuple[str, float]]:
    """Who comes when, if all settle at once."""
    seen = []
    while agenda.peek_first()[1] <= until:
        uid, due = agenda.peek_first()
        seen.append((uid, max(now, due)))
        agenda.settled(uid, max(now, due))
    return seen


def test_each_is_attended_to_at_once_and_every_five_minutes(agenda: Agenda) -> None:
    agenda.add(["a", "b"], 10.0)
    assert attended(agenda, 400.0) == [("a", 10.0), ("b", 10.0), ("a", 310.0), ("b", 310.0)]


def test_a_time_that_was_changed_counts_no_more(agenda: Agenda) -> None:
    agenda.add(["a"], 10.0)
    agenda.settled("a", 10.0)
    agenda.add(["a"], 20.0)
    assert attended(agenda, 10.0 + RECHECK_SECONDS) == [("a", 20.0)]


def test_who_was_dropped_is_not_attended_to(agenda: Agenda) -> None:
    agenda.add(["a", "b"], 10.0)
    agenda.drop("a")
    assert agenda.peek_first() == ("b", 10.0)
    agenda.add_all(20.0)
    assert attended(agenda, 30.0) == [("b", 20.0)]


def test_who_does_not_settle_comes_again_soon_and_then_less_often(agenda: Agenda) -> None:
    agenda.add(["a"], 0.0)
    pauses = []
    for failures in range(1, 9):
        now = agenda.peek_first()[1]
        assert agenda.unsettled("a", now) == failures
        pauses.append(agenda.peek_first()[1] - now)
    assert pauses == sorted(pauses)
    assert 0 < pauses[0] < 5 < pauses[-1] <= 60


def test_many_boards_are_looked_at_less_often_not_faster(agenda: Agenda) -> None:
    agenda.add([f"{number}" for number in range(5000)], 0.0)
    attended(agenda, 0.0)
    assert agenda.peek_first()[1] == 5000 / LOOKS_PER_SECOND
    assert len(agenda._queue) <= 2 * 5000
