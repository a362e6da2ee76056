"""Decide by its uptime whether a miner restarted between two answers. Pure."""

from __future__ import annotations

# A device's uptime may lag behind ours by this before it counts as a reboot that happened while it was not polled.
UPTIME_LAG_SECONDS = 60.0
UPTIME_LAG_SHARE = 0.01
# A longer time between two readings is that of a clock that was wrong.
LONGEST_GAP_SECONDS = 400 * 86400.0


def plausible_gap(elapsed: float | None) -> float | None:
    """Return the seconds between two readings; None if unknown, or if a clock was wrong at one of them."""
    return elapsed if elapsed is not None and 0 <= elapsed <= LONGEST_GAP_SECONDS else None


def has_rebooted(before: float | None, now: float | None, elapsed: float | None) -> bool:
    """Return True if a device restarted between two values of its uptime, `elapsed` seconds apart; None if unknown.

    The uptime fell, or it grew by less than the time that passed: the device was not polled for long.
    """
    if before is None or now is None:
        return False
    if now < before:
        return True
    elapsed = plausible_gap(elapsed)
    if elapsed is None:
        return False
    return now + UPTIME_LAG_SECONDS + UPTIME_LAG_SHARE * elapsed < before + elapsed
