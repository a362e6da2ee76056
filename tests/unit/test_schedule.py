"""The schedule of the polls."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models import Observation, Status
from app.services.devices.schedule import delay_until_next_poll, early_poll_delay, next_slot, slot_phase
from simulator import mac_of

intervals = st.floats(0.3, 3600)
moments = st.floats(0, 1e8)


@given(st.integers(0, 2**24 - 1), intervals)
def test_phase_is_constant_and_within_interval(number, interval):
    assert 0 <= slot_phase(mac_of(number), interval) < interval
    assert slot_phase(mac_of(number), interval) == slot_phase(mac_of(number), interval)


def test_fleet_is_spread_over_interval():
    """Defect 30: the Node backend polled all devices at the same moment."""
    tenths = Counter(int(slot_phase(mac_of(number), 5.0) * 2) for number in range(1000))
    assert len(tenths) == 10
    assert max(tenths.values()) < 150


@given(moments, st.integers(0, 2**24 - 1), intervals)
def test_next_slot_is_within_one_interval_and_on_the_grid(now, number, interval):
    start = slot_phase(mac_of(number), interval)
    slot = next_slot(now, start, interval)
    assert now < slot + 1e-6
    assert slot <= now + interval + 1e-6
    steps = (slot - start) / interval
    assert steps == pytest.approx(round(steps), abs=1e-5)


@pytest.mark.parametrize("failures", range(13))
def test_offline_device_is_first_polled_at_usual_interval(failures):
    assert delay_until_next_poll(Observation(Status.OFFLINE, failures=failures), 5.0, 0.5) == 5.0


@pytest.mark.parametrize(("failures", "seconds"), [(13, 10), (14, 20), (15, 40), (16, 60), (17, 60), (10_000, 60)])
def test_offline_device_is_polled_with_backoff_up_to_one_minute(failures, seconds):
    assert delay_until_next_poll(Observation(Status.OFFLINE, failures=failures), 5.0, 0.5) == pytest.approx(seconds)


@given(st.integers(13, 10_000), st.floats(0, 1))
def test_jitter_is_at_most_a_fifth(failures, random):
    usual = delay_until_next_poll(Observation(Status.OFFLINE, failures=failures), 5.0, 0.5)
    assert (
        0.8 * usual - 1e-9
        <= delay_until_next_poll(Observation(Status.OFFLINE, failures=failures), 5.0, random)
        <= 1.2 * usual + 1e-9
    )


@pytest.mark.parametrize("status", [Status.LOCKED, Status.REFUSED])
def test_miner_that_answers_401_is_polled_once_a_minute(status):
    assert delay_until_next_poll(Observation(status, failures=1), 5.0, 0.3) == 60


def test_interval_over_one_minute_is_never_shortened():
    assert delay_until_next_poll(Observation(Status.OFFLINE, failures=20), 600.0, 0.5) == 600
    assert delay_until_next_poll(Observation(Status.LOCKED, failures=20), 600.0, 0.5) == 600


@pytest.mark.parametrize(
    ("retry_after", "expected_pause"), [(0, 5), (3, 5), (20, 20), (60, 60), (3600, 60), (1e308, 60)]
)
def test_retry_after_is_honoured_up_to_one_minute(retry_after, expected_pause):
    assert (
        delay_until_next_poll(Observation(Status.STALE, failures=1, retry_after=retry_after), 5.0, 0.5)
        == expected_pause
    )


@pytest.mark.parametrize(("interval", "latest"), [(0.5, 0.5), (5.0, 5.0), (600.0, 5.0)])
def test_device_seen_by_discovery_is_polled_within_five_seconds(interval, latest):
    assert 0 <= early_poll_delay(slot_phase(mac_of(7), interval), interval) <= latest
    assert early_poll_delay(interval, interval) == latest
