"""How the reading of logs behaves over time. Pure: the states, and what follows when a stream is over."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from app.backoff import Backoff
from app.errors import DeviceLocked, DeviceRefused, LogReadersFull, LogStreamTaken, PlutoError
from app.miners.log_stream import StreamTimes


class State(StrEnum):
    """`waiting`: for the next attempt, or for somebody to look where the stream was taken over."""

    IDLE = "idle"
    CONNECTING = "connecting"
    STREAMING = "streaming"
    WAITING = "waiting"
    REFUSED = "refused"


REFUSALS = (DeviceRefused, DeviceLocked, LogReadersFull)


@dataclass(frozen=True, slots=True)
class LogPolicy:
    """Seconds. Attempts come after a random time up to `first`, doubled each time, at most `last`; after a refusal
    between `refused` and twice that. A stream that lasted `steady` begins anew at `first`. `silence`: firmware with one
    stream that answers pings but says nothing for so long gave it to somebody else. `linger`: how long a stream
    outlives its last listener. `tick`: how often a reader looks up while a miner is silent. `pace`: lines per second at
    which a miner is read at most."""

    first: float = 1.0
    last: float = 30.0
    refused: float = 30.0
    steady: float = 30.0
    silence: float = 60.0
    linger: float = 30.0
    tick: float = 2.0
    pace: float = 4000.0
    stream: StreamTimes = field(default_factory=StreamTimes)


@dataclass(frozen=True, slots=True)
class Rest:
    """What a reader does after a stream: be in `state` for `seconds`; None: until it is nudged."""

    state: State
    seconds: float | None


def rest_after(error: PlutoError, attempt: int, policy: LogPolicy, chance: float) -> Rest:
    """`attempt`: how many failed in a row before; `chance`: 0..1 (full jitter: a fleet that lost its network together
    does not come back in step)."""
    if isinstance(error, LogStreamTaken):
        return Rest(State.WAITING, None)
    if isinstance(error, REFUSALS):
        return Rest(State.REFUSED, policy.refused * (1 + chance))
    backoff = Backoff(policy.first, policy.last, jitter=(0.0, 1.0))
    return Rest(State.WAITING, backoff.delay_after(attempt + 1, chance))
