"""What a reader does when a stream is over: a table."""

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
def test_it_doubles_from_one_second_to_thirty_with_full_jitter(error):
    longest = [rest_after(error, attempt, POLICY, 1.0) for attempt in range(8)]
    assert [rest.seconds for rest in longest] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert {rest.state for rest in longest} == {State.WAITING}
    assert rest_after(error, 5, POLICY, 0.5).seconds == 15
    assert rest_after(error, 5, POLICY, 0.0).seconds == 0
    assert rest_after(error, 10**6, POLICY, 1.0).seconds == 30


@pytest.mark.parametrize("error", [DeviceRefused(), DeviceLocked(), LogReadersFull()])
def test_a_refusal_is_a_state_of_its_own_tried_again_slowly(error):
    assert rest_after(error, 0, POLICY, 0.0) == Rest(State.REFUSED, 30)
    assert rest_after(error, 9, POLICY, 1.0) == Rest(State.REFUSED, 60)


def test_a_stream_that_was_taken_over_waits_for_somebody():
    assert rest_after(LogStreamTaken(), 0, POLICY, 0.5) == Rest(State.WAITING, None)


def test_the_figures_are_those_that_were_settled():
    assert (POLICY.linger, POLICY.silence, POLICY.first, POLICY.last) == (30, 60, 1, 30)
    assert (POLICY.stream.ping - POLICY.stream.jitter, POLICY.stream.ping + POLICY.stream.jitter) == (20, 30)
