"""The lag of the event loop: observed once a second, logged once per blockage."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import gevent
import pytest
from fakes import FakeClock, wait_until

from app.services.loop_lag import LoopLag


@pytest.fixture
def observed_lags() -> list[float]:
    return []


@pytest.fixture
def loop_lag(observed_lags: list[float], clock: FakeClock) -> Iterator[LoopLag]:
    watch = LoopLag(observed_lags.append, clock)
    watch.start()
    gevent.sleep(0)
    yield watch
    watch.stop()


def pass_time(clock: FakeClock, observed_lags: list[float], *seconds: float) -> None:
    """Let this much time pass before each iteration of the loop."""
    for each in seconds:
        before = len(observed_lags)
        clock.advance(each)
        wait_until(lambda: len(observed_lags) > before)  # noqa: B023
        gevent.sleep(0)


def test_idle_loop_has_no_lag(loop_lag: LoopLag, clock: FakeClock, observed_lags: list[float]) -> None:
    pass_time(clock, observed_lags, 1.0, 1.0, 1.0)
    assert observed_lags == [0.0, 0.0, 0.0]


def test_lag_is_observed_and_next_second_starts_anew(
    loop_lag: LoopLag, clock: FakeClock, observed_lags: list[float]
) -> None:
    pass_time(clock, observed_lags, 1.5, 1.0, 4.0)
    assert observed_lags == pytest.approx([0.5, 0.0, 3.0])


def test_lag_over_one_second_is_logged_once(
    loop_lag: LoopLag, clock: FakeClock, observed_lags: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    pass_time(clock, observed_lags, 1.9)
    assert not caplog.records
    pass_time(clock, observed_lags, 3.0, 3.0, 3.0, 1.0, 3.0)
    lines = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.seconds for record in lines] == [2.0, 2.0]  # type: ignore[attr-defined]


def test_nothing_is_observed_after_stop(loop_lag: LoopLag, clock: FakeClock, observed_lags: list[float]) -> None:
    loop_lag.stop()
    clock.advance(5.0)
    gevent.sleep(0.01)
    assert observed_lags == []
