"""Rate limits: token buckets, and the rate limit on writes."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

from app.security.responses import SAFE_METHODS, Environ, HttpResponse

# With more peers, the bucket of the least recently seen one is dropped.
MAX_BUCKETS = 10_000
WRITE_BURST = 200
_ROUNDING = 1e-9


class TokenBucket:
    """A token bucket of `burst` tokens, refilled with `rate` per second. Its only state is the time when it is full."""

    __slots__ = ("_clock", "_full_at")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._full_at = -math.inf

    def seconds_until_available(self, burst: float, rate: float, cost: float = 1.0) -> float:
        """Return the seconds until `cost` tokens are available, 0 if they are."""
        now = self._clock()
        missing = max(self._full_at, now) + (cost - burst) / rate - now
        return missing if missing > _ROUNDING else 0.0

    def consume_tokens(self, burst: float, rate: float, cost: float = 1.0) -> float:
        """Consume `cost` tokens if they are available. Return the seconds until they are, 0 if they were consumed."""
        wait = self.seconds_until_available(burst, rate, cost)
        if not wait:
            self._full_at = max(self._full_at, self._clock()) + cost / rate
        return wait


class TokenBuckets:
    """One token bucket per key, the least recently used dropped first. Needs no thread and no sweep."""

    def __init__(self, clock: Callable[[], float], max_buckets: int = MAX_BUCKETS) -> None:
        self._clock = clock
        self._max_buckets = max_buckets
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def get_bucket(self, key: str) -> TokenBucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(self._clock)
            if len(self._buckets) > self._max_buckets:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket


class WriteRateLimit:
    """The rate limit on writes, per peer: a burst of two writes per device (at least WRITE_BURST), then `rate` per
    second. Not for Engine.IO: its events have limits of their own."""

    def __init__(self, clock: Callable[[], float], count_devices: Callable[[], int], rate: float) -> None:
        self._buckets = TokenBuckets(clock)
        self._count_devices = count_devices
        self._rate = rate

    def __call__(self, environ: Environ) -> HttpResponse | None:
        if environ["REQUEST_METHOD"] in SAFE_METHODS:
            return None
        burst = max(WRITE_BURST, 2 * self._count_devices(), 2 * self._rate)
        wait = self._buckets.get_bucket(get_peer_address(environ)).consume_tokens(burst, self._rate)
        return rate_limit_response("Too many changes in a short time", wait) if wait else None


def get_peer_address(environ: Environ) -> str:
    return str(environ.get("REMOTE_ADDR", ""))


def rate_limit_response(reason: str, wait: float) -> HttpResponse:
    seconds = math.ceil(wait)
    sentence = f"{reason}: wait {seconds} s"
    return HttpResponse("429 TOO MANY REQUESTS", sentence, (("Retry-After", str(seconds)),))
