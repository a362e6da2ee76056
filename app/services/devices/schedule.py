"""When a device is polled. Pure: time and randomness are arguments."""

from __future__ import annotations

import math
import zlib

from app.backoff import Backoff
from app.models import Observation, Status

LONG_DEAD = 12
SLOWEST_SECONDS = 60.0
JITTER = (0.8, 1.2)
SOON_SECONDS = 5.0


def phase(mac: str, interval: float) -> float:
    """The device's place within the interval, in seconds: a hash of the MAC, so that a fleet never polls in step."""
    return zlib.crc32(mac.encode()) / 2**32 * interval


def next_slot(now: float, phase: float, interval: float) -> float:
    """The first moment after `now` on the device's own grid. Slots that were missed meanwhile are skipped, never caught
    up."""
    return phase + (math.floor((now - phase) / interval) + 1) * interval


def soon(phase: float, interval: float) -> float:
    """Seconds within which a device is asked that somebody saw: at most 5, and spread as the slots are."""
    return phase * min(1.0, SOON_SECONDS / interval)


def pause(observation: Observation, interval: float, random: float) -> float:
    """Seconds until the next poll. After 12 misses it doubles up to a minute, ±20 % by `random` (0..1); a miner that
    answers 401 is asked once a minute. One that names a time itself is given it, a minute at most."""
    if observation.status in (Status.LOCKED, Status.REFUSED):
        return max(interval, SLOWEST_SECONDS)
    doublings = observation.failures - LONG_DEAD
    if doublings <= 0:
        return max(interval, min(observation.retry_after, SLOWEST_SECONDS))
    backoff = Backoff(2 * interval, max(SLOWEST_SECONDS, interval), JITTER)
    return backoff.delay_after(doublings, random)
