"""The poll schedule. Pure: time and randomness are arguments."""

from __future__ import annotations

import math
import zlib

from app.backoff import Backoff
from app.models import Observation, Status

BACKOFF_AFTER_FAILURES = 12
LONGEST_DELAY_SECONDS = 60.0
JITTER = (0.8, 1.2)
EARLY_POLL_SECONDS = 5.0


def slot_phase(mac: str, interval: float) -> float:
    """Return the device's offset within the interval in seconds: a hash of the MAC, so that polls are spread evenly."""
    return zlib.crc32(mac.encode()) / 2**32 * interval


def next_slot(now: float, phase: float, interval: float) -> float:
    """Return the first moment after `now` on the device's own grid. Missed slots are skipped, never caught up."""
    return phase + (math.floor((now - phase) / interval) + 1) * interval


def early_poll_delay(phase: float, interval: float) -> float:
    """Return the delay of an early poll after a sighting: at most 5 s, spread as the slots are."""
    return phase * min(1.0, EARLY_POLL_SECONDS / interval)


def delay_until_next_poll(observation: Observation, interval: float, random: float) -> float:
    """Return the seconds until the next poll: the interval, or a backoff after failed polls.

    From the 13th consecutive failure on, the delay doubles up to one minute, ±20 % by `random` (0..1). A miner that
    answers 401 is polled once per minute. A Retry-After is obeyed, up to one minute. An interval above one minute wins.
    """
    if observation.status in (Status.LOCKED, Status.REFUSED):
        return max(interval, LONGEST_DELAY_SECONDS)
    excess_failures = observation.failures - BACKOFF_AFTER_FAILURES
    if excess_failures <= 0:
        return max(interval, min(observation.retry_after, LONGEST_DELAY_SECONDS))
    backoff = Backoff(2 * interval, max(LONGEST_DELAY_SECONDS, interval), JITTER)
    return backoff.delay_after(excess_failures, random)
