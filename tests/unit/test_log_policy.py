"""The delay and state of a log reader after its stream ended."""

import pytest

from app.errors import (
    DeviceDropped,
    DeviceLocked,
    DeviceRefused,
    DeviceTimeout,
    DeviceUnreachable,
    LogReadersFull,
    LogStreamTaken,
    TooSoon,
)
from app.services.logs.policy import LogPolicy, Rest, State, rest_after

POLICY = LogPolicy()


@pytest.mark.parametrize("error", [DeviceDropped(""), DeviceTimeout(""), DeviceUnreachable(""), TooSoon("", 1)])
def test_delay_doubles_from_1_to_30_seconds_with_full_jitter(error):
    longest = [rest_after(error, attempt, POLICY, 1.0) for attempt in range(8)]
    assert [rest.seconds for rest in longest] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert {rest.state for rest in longest} == {State.WAITING}
    assert rest_after(error, 5, POLICY, 0.5).seconds == 15
    assert rest_after(error, 5, POLICY, 0.0).seconds == 0
    assert rest_after(error, 10**6, POLICY, 1.0).seconds == 30


@pytest.mark.parametrize("error", [DeviceRefused(), DeviceLocked(), LogReadersFull()])
def test_refusal_is_retried_after_30_to_60_seconds(error):
    assert rest_after(error, 0, POLICY, 0.0) == Rest(State.REFUSED, 30)
    assert rest_after(error, 9, POLICY, 1.0) == Rest(State.REFUSED, 60)


def test_stream_taken_over_waits_for_new_subscriber():
    assert rest_after(LogStreamTaken(), 0, POLICY, 0.5) == Rest(State.WAITING, None)


def test_default_values_of_policy():
    assert (POLICY.linger, POLICY.silence, POLICY.first, POLICY.last) == (30, 60, 1, 30)
    assert (POLICY.stream.ping - POLICY.stream.jitter, POLICY.stream.ping + POLICY.stream.jitter) == (20, 30)
