"""The nouns of the service, and the one decision about a device's liveness. Pure: no I/O, no clock of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.clock import Moment
from app.errors import DeviceError, DeviceLocked, DeviceRefused, DeviceStatus


class Status(StrEnum):
    """What the service knows of a device. `pending`: monitored and not yet polled. `restarting`: no answer, which is
    expected for a minute after a restart."""

    UNMONITORED = "unmonitored"
    PENDING = "pending"
    ONLINE = "online"
    STALE = "stale"
    RESTARTING = "restarting"
    OFFLINE = "offline"
    LOCKED = "locked"
    REFUSED = "refused"


UP = frozenset({Status.ONLINE, Status.STALE, Status.RESTARTING})
LOST = frozenset({Status.OFFLINE, Status.LOCKED, Status.REFUSED})


@dataclass(frozen=True, slots=True)
class Device:
    """A device's record: what the user asked us to keep, and the last reading that was persisted.

    `ip` may carry a port. `info` is what the firmware answered, redacted. `extra` holds fields of the record that only
    the original knows; they are written back untouched. Times are ISO-8601 text.
    """

    mac: str
    ip: str
    type: str = "unknown"
    info: Mapping[str, Any] = field(default_factory=dict)
    preset_uuid: str | None = None
    name: str | None = None
    notes: str | None = None
    tags: tuple[str, ...] = ()
    created_at: str = ""
    updated_at: str = ""
    last_seen: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


class MacSource(StrEnum):
    """Where a miner's MAC came from. Only the first two are evidence that it is at an address: a caller may name any
    MAC, and a cached reading says where the miner was when it was polled."""

    ANSWER = "answer"
    NEIGHBOURS = "neighbours"
    CALLER = "caller"
    CACHE = "cache"


CONFIRMED = frozenset({MacSource.ANSWER, MacSource.NEIGHBOURS})


@dataclass(frozen=True, slots=True)
class Found:
    """A miner that discovery met. `mac` is None where it is not known; `source` says how it is known, and is None for
    one from the store."""

    mac: str | None
    ip: str
    info: Mapping[str, Any]
    type: str = "unknown"
    first_seen: str = ""
    last_seen: str = ""
    source: MacSource | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """One good answer of a miner. `info` is redacted; `mac` is the one that it reports, None on AxeOS before 2.3. `at`
    is for people; intervals use `moment`. `is_cached`: a scan took it from the last poll instead of asking."""

    info: Mapping[str, Any]
    mac: str | None
    at: datetime
    taken: Moment | None = None
    is_cached: bool = False

    @property
    def moment(self) -> Moment:
        return self.taken or Moment(self.at)

    @property
    def hostname(self) -> str:
        return str(self.info.get("hostname") or "")


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known of a device now. `reading` is the last good one of this process; `failures` counts the misses
    since. `retry_after`: seconds for which the miner asked to be left alone."""

    status: Status = Status.PENDING
    reading: Reading | None = None
    failures: int = 0
    error: str | None = None
    reason: str | None = None
    retry_after: float = 0.0


_STATES_OF_THEIR_OWN: dict[type[DeviceError], Status] = {DeviceLocked: Status.LOCKED, DeviceRefused: Status.REFUSED}


def next_observation(
    previous: Observation, outcome: Reading | DeviceError, offline_after: int, *, restarting: bool = False
) -> Observation:
    """One good reading is online; a miss is stale until `offline_after` misses in a row make it offline; a 401 is a
    state of its own. A miss of one that is `restarting` says nothing, unless it was lost before."""
    if isinstance(outcome, Reading):
        return Observation(Status.ONLINE, outcome)
    failures = previous.failures + 1
    status = _STATES_OF_THEIR_OWN.get(type(outcome)) or _missed(previous.status, failures >= offline_after, restarting)
    wait = outcome.retry_after if isinstance(outcome, DeviceStatus) else 0.0
    return Observation(status, previous.reading, failures, str(outcome), outcome.reason, wait)


def _missed(before: Status, enough: bool, restarting: bool) -> Status:
    """A device that was never seen since the start is pending, not stale, until it is offline; one that is lost stays
    lost."""
    if restarting and before not in LOST:
        return Status.RESTARTING
    if enough or before in LOST:
        return Status.OFFLINE
    return Status.PENDING if before is Status.PENDING else Status.STALE


def is_reboot(previous: Reading | None, reading: Reading | None) -> bool:
    """Whether the miner restarted between two readings: `uptimeSeconds` fell (reset_reason and counters follow it)."""
    before, after = _uptime(previous), _uptime(reading)
    return before is not None and after is not None and after < before


def _uptime(reading: Reading | None) -> float | None:
    value = reading.info.get("uptimeSeconds") if reading else None
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
