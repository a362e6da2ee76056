"""Under which time of day the history records."""

from datetime import timedelta

import pytest
from fakes import FakeClock

from app.services.history.timekeeper import BUILD_TIME, Timekeeper

HOUR, DAY, YEAR = timedelta(hours=1), timedelta(days=1), timedelta(days=365)


@pytest.fixture
def timekeeper(clock: FakeClock) -> Timekeeper:
    clock.shift_time_of_day(timedelta(days=300))
    return Timekeeper(clock)


def record(timekeeper: Timekeeper, clock: FakeClock, seconds: float, step: float = 5.0) -> int:
    """Return how many samples of so many seconds were recorded."""
    recorded = 0
    for _ in range(round(seconds / step)):
        recorded += timekeeper.current_time() is not None
        clock.advance(step)
    return recorded


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [entry.getMessage() for entry in caplog.records if "time of day is behind" in entry.getMessage()]


def test_nothing_is_recorded_in_1970_and_one_warning_says_so(timekeeper, clock, caplog):
    right = clock.now()
    clock.shift_time_of_day(-timedelta(seconds=right.timestamp()))
    assert record(timekeeper, clock, 600) == 0
    assert len(warnings(caplog)) == 1
    clock.shift_time_of_day(right - clock.now())
    assert record(timekeeper, clock, 600) == 120
    assert timekeeper.spans[0][0] > BUILD_TIME


@pytest.mark.parametrize("back", [HOUR, DAY, YEAR / 4])
def test_nothing_is_recorded_before_the_newest_time(timekeeper, clock, caplog, back):
    record(timekeeper, clock, back.total_seconds() + 7200, 3600)
    newest = timekeeper.newest
    clock.shift_time_of_day(-back - HOUR)  # an hour has passed since the newest one
    assert record(timekeeper, clock, back.total_seconds() - 200, max(5, back.total_seconds() // 500)) == 0
    assert timekeeper.newest == newest
    assert len(warnings(caplog)) == 1
    clock.advance(7200)
    assert record(timekeeper, clock, 60) == 12


def test_small_correction_of_the_clock_is_no_pause(timekeeper, clock, caplog):
    record(timekeeper, clock, 60)
    clock.shift_time_of_day(timedelta(seconds=-6))
    times = []
    for _ in range(3):
        times.append(timekeeper.current_time())
        clock.advance(1)
    assert times[0] is not None and times == sorted(times)
    assert not warnings(caplog)


def test_clock_that_was_ahead_is_corrected_within_an_hour(timekeeper, clock):
    record(timekeeper, clock, 600)
    clock.shift_time_of_day(10 * YEAR)
    assert record(timekeeper, clock, 600) == 120
    clock.shift_time_of_day(-10 * YEAR)
    assert record(timekeeper, clock, 3000) == 600  # beside the times that were recorded before, within a day
    clock.advance(60)
    assert record(timekeeper, clock, 600) == 120
    spans = timekeeper.spans
    assert len(spans) == 2
    assert spans[0][1] < spans[1][0]


def test_clock_that_was_ahead_is_believed_after_a_restart_too(timekeeper, clock):
    record(timekeeper, clock, 600)
    clock.shift_time_of_day(10 * YEAR)
    record(timekeeper, clock, 600)
    clock.shift_time_of_day(-10 * YEAR)
    again = Timekeeper(clock)
    again.load_spans(timekeeper.spans)
    assert record(again, clock, 600) == 120


def test_clock_that_jumped_ahead_deletes_nothing_in_its_first_day(timekeeper, clock):
    record(timekeeper, clock, 600)
    newest = timekeeper.newest
    clock.shift_time_of_day(10 * YEAR)
    record(timekeeper, clock, 600)
    now = clock.now().timestamp()
    assert timekeeper.trusted_time(now - 10) == newest
    record(timekeeper, clock, 90_000, 600)
    now = timekeeper.newest
    assert timekeeper.trusted_time(now) == now
