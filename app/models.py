"""The domain types, and the state machine of a device's status. Pure: no I/O, no clock of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

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


UP_STATUSES = frozenset({Status.ONLINE, Status.STALE, Status.RESTARTING})
DOWN_STATUSES = frozenset({Status.OFFLINE, Status.LOCKED, Status.REFUSED})


@dataclass(frozen=True, slots=True)
class Device:
    """A device's record: what the user asked to keep, and the last reading that was persisted.

    `ip` may have a port. `info` is the firmware's answer, redacted. `extra` has fields of the record that only the
    Node backend knows; they are written back unchanged. Times are ISO-8601 text.
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
    """The source of a miner's MAC. Only the first two prove that it is at an address: a caller may give any MAC, and
    a cached reading says where the miner was when it was polled."""

    ANSWER = "answer"
    NEIGHBOURS = "neighbours"
    CALLER = "caller"
    CACHE = "cache"


CONFIRMED_SOURCES = frozenset({MacSource.ANSWER, MacSource.NEIGHBOURS})


@dataclass(frozen=True, slots=True)
class DiscoveredMiner:
    """A miner that discovery found. `mac` is None if unknown; `source` is None for an entry from the store."""

    mac: str | None
    ip: str
    info: Mapping[str, Any]
    type: str = "unknown"
    first_seen: str = ""
    last_seen: str = ""
    source: MacSource | None = None


@dataclass(frozen=True, slots=True)
class RunningScan:
    """The progress of a scan. `probed` and `total` count addresses; `found`: the miners so far."""

    probed: int
    total: int
    found: list[DiscoveredMiner]


@dataclass(frozen=True, slots=True)
class Reading:
    """One valid answer of a miner. `info` is redacted; `mac` is the one it reports, None on AxeOS before 2.3. `at`
    is for people; intervals use `moment`. `is_cached`: a scan took it from the last poll instead of a probe."""

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


class Cause(StrEnum):
    PENDING_RESTART = "pending_restart"
    OVERHEAT_FALLBACK = "overheat_fallback"
    FACTORY_RESET = "factory_reset"
    POOL_CHANGED = "pool_changed"
    CHANGED_ELSEWHERE = "changed_elsewhere"


@dataclass(frozen=True, slots=True)
class Drift:
    """One setting that differs from the desired state. `since`: when that was first seen, ISO-8601."""

    key: str
    expected: Any
    actual: Any
    since: str
    cause: Cause


class Chip(NamedTuple):
    """One ASIC of a device, as its firmware reports it; None for what it does not report.

    `number` counts from 1. `errors`: wrong results since the miner's start. `domains`: the hashrate in GH/s of each
    part of the chip, NaN where the value is invalid.
    """

    number: int
    hashrate_ghs: float | None = None
    errors: float | None = None
    temperature_celsius: float | None = None
    domains: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class ShareRate:
    """A hashrate in GH/s that accepted shares prove, with the limits of its confidence interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ProvenHashrate:
    """The share-proven hashrate over one window of time ("10m", "1h", "24h"). `reason`: why `rate` is None."""

    window: str
    shares: int
    rate: ShareRate | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Derived:
    """Figures derived from a device's readings up to its last answer; None for what is not known.

    `expected_hashrate_ghs`: the firmware's own expectation, else the product of frequency, cores and chips.
    `warnings`: sentences for the user about values that contradict each other and chips that do not hash.
    """

    joules_per_terahash: float | None = None
    expected_hashrate_ghs: float | None = None
    hashrate_percent: float | None = None
    reject_percent: float | None = None
    proven: tuple[ProvenHashrate, ...] = ()
    expected_block_seconds: float | None = None
    block_probability_per_day: float | None = None
    chips: tuple[Chip, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Observation:
    """The present state of a device. `reading` is the last valid one of this process; `failures` counts the misses
    since. `retry_after`: seconds that the miner requested."""

    status: Status = Status.PENDING
    reading: Reading | None = None
    failures: int = 0
    error: str | None = None
    reason: str | None = None
    retry_after: float = 0.0


_STATUS_BY_ERROR: dict[type[DeviceError], Status] = {DeviceLocked: Status.LOCKED, DeviceRefused: Status.REFUSED}


def next_observation(
    previous: Observation, outcome: Reading | DeviceError, offline_after: int, *, restarting: bool = False
) -> Observation:
    """Return the observation after one poll.

    One valid reading is online; a miss is stale until `offline_after` consecutive misses make it offline; a 401 has
    a status of its own. A miss of a device that is `restarting` does not count, unless it was already down.
    """
    if isinstance(outcome, Reading):
        return Observation(Status.ONLINE, outcome)
    failures = previous.failures + 1
    status = _STATUS_BY_ERROR.get(type(outcome)) or _status_after_miss(
        previous.status, failures >= offline_after, restarting
    )
    wait = outcome.retry_after if isinstance(outcome, DeviceStatus) else 0.0
    return Observation(status, previous.reading, failures, str(outcome), outcome.reason, wait)


def _status_after_miss(before: Status, enough: bool, restarting: bool) -> Status:
    """A device that was never polled successfully is pending, not stale, until it is offline; one that is down stays
    down."""
    if restarting and before not in DOWN_STATUSES:
        return Status.RESTARTING
    if enough or before in DOWN_STATUSES:
        return Status.OFFLINE
    return Status.PENDING if before is Status.PENDING else Status.STALE


def is_reboot(previous: Reading | None, reading: Reading | None) -> bool:
    """Return True if the miner restarted between two readings: `uptimeSeconds` fell (reset_reason and counters
    follow it)."""
    before, after = _reported_uptime(previous), _reported_uptime(reading)
    return before is not None and after is not None and after < before


def _reported_uptime(reading: Reading | None) -> float | None:
    value = reading.info.get("uptimeSeconds") if reading else None
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
