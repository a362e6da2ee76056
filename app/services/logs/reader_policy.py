"""The states of a log reader, and its backoff after a stream ends. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from app.backoff import Backoff
from app.errors import DeviceLocked, DeviceRefused, LogReadersFull, LogStreamTaken, PlutoError
from app.miners.log_stream import StreamTimes


class ReaderState(StrEnum):
    """The state of a reader. `waiting`: for the next attempt, or, if the stream was taken over, for a new listener."""

    IDLE = "idle"
    CONNECTING = "connecting"
    STREAMING = "streaming"
    WAITING = "waiting"
    REFUSED = "refused"


REFUSED_ERRORS = (DeviceRefused, DeviceLocked, LogReadersFull)


@dataclass(frozen=True, slots=True)
class ReaderPolicy:
    """Times of a reader, in seconds.

    The backoff is random, up to `first_backoff`, doubled per failure up to `max_backoff`; after a refusal it is one to
    two times `refused_backoff`. A stream of `backoff_reset_after` resets it. `takeover_silence`: firmware with one
    stream that answers pings but sends no line for this long has given the stream to another client. `linger_seconds`:
    how long a stream stays open without listeners. `read_timeout`: of one read, while a miner is silent.
    `max_lines_per_second`: the rate limit on reading a miner.
    """

    first_backoff: float = 1.0
    max_backoff: float = 30.0
    refused_backoff: float = 30.0
    backoff_reset_after: float = 30.0
    takeover_silence: float = 60.0
    linger_seconds: float = 30.0
    read_timeout: float = 2.0
    max_lines_per_second: float = 4000.0
    stream_timeouts: StreamTimes = field(default_factory=StreamTimes)


@dataclass(frozen=True, slots=True)
class ReaderDelay:
    """How a reader waits after a stream: in `state`, for `seconds`; None: until `retry_now`."""

    state: ReaderState
    seconds: float | None


def backoff_after(error: PlutoError, attempt: int, policy: ReaderPolicy, rng_value: float) -> ReaderDelay:
    """Return the backoff after this error. `attempt`: the number of earlier failures in a row. `rng_value`: 0 to 1, for
    full jitter, so that a fleet does not reconnect at once after a network failure."""
    if isinstance(error, LogStreamTaken):
        return ReaderDelay(ReaderState.WAITING, None)
    if isinstance(error, REFUSED_ERRORS):
        return ReaderDelay(ReaderState.REFUSED, policy.refused_backoff * (1 + rng_value))
    backoff = Backoff(policy.first_backoff, policy.max_backoff, jitter=(0.0, 1.0))
    return ReaderDelay(ReaderState.WAITING, backoff.delay_after(attempt + 1, rng_value))
