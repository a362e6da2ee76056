"""How often somebody may do something: token buckets, one number each."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

from app.security.answers import READS, Answer, Environ

# Beyond so many peers the one that was not seen for longest starts afresh.
MOST_KEYS = 10_000
WRITE_BURST = 200
_ROUNDING = 1e-9


class Bucket:
    """Holds `burst` tokens, gets `rate` a second. All it keeps is the moment at which it is full again."""

    __slots__ = ("_clock", "_full_at")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._full_at = -math.inf

    def wait(self, burst: float, rate: float, cost: float = 1.0) -> float:
        """Seconds until `cost` tokens are there; 0 when they are."""
        now = self._clock()
        missing = max(self._full_at, now) + (cost - burst) / rate - now
        return missing if missing > _ROUNDING else 0.0

    def take(self, burst: float, rate: float, cost: float = 1.0) -> float:
        """The same, and takes them when they are there."""
        wait = self.wait(burst, rate, cost)
        if not wait:
            self._full_at = max(self._full_at, self._clock()) + cost / rate
        return wait


class Buckets:
    """One bucket for each key. Owns nothing else: no thread, and no sweep over all of them."""

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
    """Writes of one peer: at first as many as somebody needs who does something to each device twice, then `rate` a
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
