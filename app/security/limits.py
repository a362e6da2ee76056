"""Rate limits: token buckets, and the rate limit on writes."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

from app.security.answers import READS, Answer, Environ

# With more peers, the bucket of the least recently seen one is dropped.
MOST_KEYS = 10_000
WRITE_BURST = 200
_ROUNDING = 1e-9


class Bucket:
    """A token bucket of `burst` tokens, refilled with `rate` per second. Its only state is the time when it is full."""

    __slots__ = ("_clock", "_full_at")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._full_at = -math.inf

    def wait(self, burst: float, rate: float, cost: float = 1.0) -> float:
        """Return the seconds until `cost` tokens are available, 0 if they are."""
        now = self._clock()
        missing = max(self._full_at, now) + (cost - burst) / rate - now
        return missing if missing > _ROUNDING else 0.0

    def take(self, burst: float, rate: float, cost: float = 1.0) -> float:
        """Consume `cost` tokens if they are available. Return the seconds until they are, 0 if they were consumed."""
        wait = self.wait(burst, rate, cost)
        if not wait:
            self._full_at = max(self._full_at, self._clock()) + cost / rate
        return wait


class Buckets:
    """One token bucket per key, the least recently used dropped first. Needs no thread and no sweep."""

    def __init__(self, clock: Callable[[], float], most: int = MOST_KEYS) -> None:
        self._clock = clock
        self._most = most
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def of(self, key: str) -> Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(self._clock)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket


class WriteLimit:
    """The rate limit on writes, per peer: a burst of two writes per device (at least WRITE_BURST), then `rate` per
    second. Not for Engine.IO: its events have limits of their own."""

    def __init__(self, clock: Callable[[], float], devices: Callable[[], int], rate: float) -> None:
        self._buckets = Buckets(clock)
        self._devices = devices
        self._rate = rate

    def __call__(self, environ: Environ) -> Answer | None:
        if environ["REQUEST_METHOD"] in READS:
            return None
        burst = max(WRITE_BURST, 2 * self._devices(), 2 * self._rate)
        wait = self._buckets.of(peer_of(environ)).take(burst, self._rate)
        return too_many("Too many changes in a short time", wait) if wait else None


def peer_of(environ: Environ) -> str:
    return str(environ.get("REMOTE_ADDR", ""))


def too_many(what: str, wait: float) -> Answer:
    seconds = math.ceil(wait)
    sentence = f"{what}: wait {seconds} s"
    return Answer("429 TOO MANY REQUESTS", sentence, (("Retry-After", str(seconds)),))
