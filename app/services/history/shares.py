"""Increases of a device's share counters between two readings. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.miners.uptime import UPTIME_LAG_SECONDS, has_rebooted

COUNTER_MODULUS = 2.0**32
LONGEST_PAUSE_SECONDS = 86_400.0
ACCEPTED, REJECTED, DIFFICULTY, UPTIME = "shares_accepted", "shares_rejected", "pool_difficulty", "uptime_seconds"


@dataclass(frozen=True, slots=True)
class ShareIncrease:
    """The shares since the device's last reading. `work`: the sum of accepted × difficulty in force. `seconds`: the
    time that the increase covers; 0 at the first reading, and while the difficulty is not known."""

    accepted: float = 0.0
    rejected: float = 0.0
    work: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: ShareIncrease) -> ShareIncrease:
        return ShareIncrease(
            self.accepted + other.accepted,
            self.rejected + other.rejected,
            self.work + other.work,
            self.seconds + other.seconds,
        )


NO_INCREASE = ShareIncrease()


@dataclass(frozen=True, slots=True)
class ShareTotals:
    """The counters of one reading. `at`: monotonic seconds. None if the miner does not report a value."""

    at: float
    accepted: float | None
    rejected: float | None
    difficulty: float | None
    uptime: float | None


def read_totals(values: Mapping[str, float], at: float) -> ShareTotals:
    return ShareTotals(at, values.get(ACCEPTED), values.get(REJECTED), values.get(DIFFICULTY), values.get(UPTIME))


def compute_increase(before: ShareTotals | None, now: ShareTotals) -> ShareIncrease:
    """Return the increase between two readings of one device.

    After a reboot the counters began at 0, so their values are the increase, over the time since the reboot; the shares
    between the last reading and the reboot are unknown. Shares count with the difficulty that was in force when the
    interval began: work under a new difficulty begins with the next job.
    """
    if before is None or now.accepted is None or before.accepted is None:
        return NO_INCREASE
    elapsed = now.at - before.at
    is_reboot = has_rebooted(before.uptime, now.uptime, elapsed)
    if is_reboot and now.uptime is not None and now.uptime > elapsed + UPTIME_LAG_SECONDS:
        return NO_INCREASE  # it started before the last reading, so that one was of another device or of a wrong clock
    accepted = _count_increase(before.accepted, now.accepted, is_reboot)
    rejected = _count_increase(before.rejected, now.rejected, is_reboot)
    difficulty = (now.difficulty if is_reboot else before.difficulty) or now.difficulty or 0.0
    seconds = _measure_seconds(before, now, is_reboot=is_reboot)
    return ShareIncrease(accepted, rejected, accepted * difficulty, seconds if difficulty else 0.0)


def _measure_seconds(before: ShareTotals, now: ShareTotals, *, is_reboot: bool) -> float:
    """Return the time that an increase covers. The miner's own clock counts if it is ahead of ours by up to a day: our
    host was off, and began with a wrong time of day."""
    elapsed = now.at - before.at
    if now.uptime is None:
        return elapsed
    if is_reboot:
        return min(elapsed, now.uptime)
    uptime = now.uptime - before.uptime if before.uptime is not None else 0.0
    return uptime if UPTIME_LAG_SECONDS < uptime - elapsed <= LONGEST_PAUSE_SECONDS else elapsed


def _count_increase(before: float | None, now: float | None, is_reboot: bool) -> float:
    if now is None or before is None:
        return 0.0
    if is_reboot:
        return now
    if now >= before:
        return now - before
    if COUNTER_MODULUS >= before > COUNTER_MODULUS / 2 > now:
        return now + COUNTER_MODULUS - before
    return now  # the counters were reset without a reboot
