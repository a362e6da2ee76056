"""How late the loop is: noted once a second, said once."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import gevent
import pytest
from fakes import FakeClock, eventually

from app.services.loop_lag import LoopLag


@pytest.fixture
def noted() -> list[float]:
    return []


@pytest.fixture
def lag(noted: list[float], clock: FakeClock) -> Iterator[LoopLag]:
    watch = LoopLag(noted.append, clock)
    watch.start()
    gevent.sleep(0)
    yield watch
    watch.stop()


def passes(clock: FakeClock, noted: list[float], *seconds: float) -> None:
    """That much time passes before the loop comes round, again and again."""
    for each in seconds:
        before = len(noted)
        clock.advance(each)
        eventually(lambda: len(noted) > before)  # noqa: B023
        gevent.sleep(0)


def test_a_free_loop_is_not_late(lag: LoopLag, clock: FakeClock, noted: list[float]) -> None:
    passes(clock, noted, 1.0, 1.0, 1.0)
    assert noted == [0.0, 0.0, 0.0]


def test_what_holds_it_up_is_noted_and_the_next_second_counts_anew(
    lag: LoopLag, clock: FakeClock, noted: list[float]
) -> None:
    passes(clock, noted, 1.5, 1.0, 4.0)
    assert noted == pytest.approx([0.5, 0.0, 3.0])


def test_more_than_a_second_is_worth_one_line_until_it_is_over(
    lag: LoopLag, clock: FakeClock, noted: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    passes(clock, noted, 1.9)
    assert not caplog.records
    passes(clock, noted, 3.0, 3.0, 3.0, 1.0, 3.0)
    lines = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.seconds for record in lines] == [2.0, 2.0]  # type: ignore[attr-defined]


def test_nothing_is_noted_after_stop(lag: LoopLag, clock: FakeClock, noted: list[float]) -> None:
    lag.stop()
    clock.advance(5.0)
    gevent.sleep(0.01)
    assert noted == []
