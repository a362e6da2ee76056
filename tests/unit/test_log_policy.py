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
    RetryLater,
)
from app.services.logs.reader_policy import ReaderDelay, ReaderPolicy, ReaderState, backoff_after

POLICY = ReaderPolicy()


@pytest.mark.parametrize("error", [DeviceDropped(""), DeviceTimeout(""), DeviceUnreachable(""), RetryLater("", 1)])
def test_delay_doubles_from_1_to_30_seconds_with_full_jitter(error):
    longest = [backoff_after(error, attempt, POLICY, 1.0) for attempt in range(8)]
    assert [rest.seconds for rest in longest] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert {rest.state for rest in longest} == {ReaderState.WAITING}
    assert backoff_after(error, 5, POLICY, 0.5).seconds == 15
    assert backoff_after(error, 5, POLICY, 0.0).seconds == 0
    assert backoff_after(error, 10**6, POLICY, 1.0).seconds == 30


@pytest.mark.parametrize("error", [DeviceRefused(), DeviceLocked(), LogReadersFull()])
def test_refusal_is_retried_after_30_to_60_seconds(error):
    assert backoff_after(error, 0, POLICY, 0.0) == ReaderDelay(ReaderState.REFUSED, 30)
    assert backoff_after(error, 9, POLICY, 1.0) == ReaderDelay(ReaderState.REFUSED, 60)


def test_stream_taken_over_waits_for_new_subscriber():
    assert backoff_after(LogStreamTaken(), 0, POLICY, 0.5) == ReaderDelay(ReaderState.WAITING, None)


def test_default_values_of_policy():
    assert (POLICY.linger_seconds, POLICY.takeover_silence, POLICY.first_backoff, POLICY.max_backoff) == (30, 60, 1, 30)
    assert (
        POLICY.stream_timeouts.ping - POLICY.stream_timeouts.jitter,
        POLICY.stream_timeouts.ping + POLICY.stream_timeouts.jitter,
    ) == (20, 30)
