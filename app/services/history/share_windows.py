"""Sliding windows of a device's shares: sums over the last ten minutes, hour and day, in 3 KB."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from math import floor

# Fields of a bucket: accepted shares of known difficulty, their work, difficulty × seconds, seconds. The hour's ring
# also has those of the reject rate and of the reported hashrate: all accepted and rejected shares, GH/s × seconds, and
# the seconds with a reported hashrate.
ACCEPTED, WORK, EXPOSURE, SECONDS, ALL_ACCEPTED, REJECTED, REPORTED, REPORTED_SECONDS = range(8)


class BucketRing:
    """Sums over the last `count` buckets of `width` seconds each; the newest bucket is still filling. Times are
    monotonic seconds."""

    __slots__ = ("_buckets", "_count", "_fields", "_slot", "_width", "totals")

    def __init__(self, width: float, count: int, fields: int) -> None:
        self._width = width
        self._count = count
        self._fields = fields
        self._buckets = array("f", bytes(4 * fields * count))
        self._slot: int | None = None
        self.totals = [0.0] * fields

    @property
    def seconds(self) -> float:
        """Return the length of the window."""
        return self._width * self._count

    def add_amounts(self, now: float, seconds: float, amounts: Sequence[float]) -> None:
        """Add amounts that arose evenly over the `seconds` before `now`, one for each field. What is longer than a
        bucket is spread over the buckets that it covers; what is older than the ring is dropped."""
        slot = floor(now / self._width)
        if slot != self._slot:
            self._advance(slot)
        if seconds <= self._width:
            self._add_to_bucket(slot, 1.0, amounts)
            return
        begin = now - seconds
        for each in range(max(floor(begin / self._width), slot - self._count + 1), slot + 1):
            overlap = min(now, (each + 1) * self._width) - max(begin, each * self._width)
            self._add_to_bucket(each, overlap / seconds, amounts)

    def _add_to_bucket(self, slot: int, part: float, amounts: Sequence[float]) -> None:
        buckets, totals, at = self._buckets, self.totals, slot % self._count * self._fields
        for field in range(self._fields):
            amount = part * amounts[field]
            buckets[at + field] += amount
            totals[field] += amount

    def _advance(self, slot: int) -> None:
        """Drop what left the window, and add up what remains, so that no rounding errors collect."""
        last = slot if self._slot is None else self._slot
        for each in range(max(last, slot - self._count) + 1, slot + 1):
            at = each % self._count * self._fields
            self._buckets[at : at + self._fields] = array("f", bytes(4 * self._fields))
        self._slot = slot
        self.totals = [sum(self._buckets[field :: self._fields]) for field in range(self._fields)]


def create_rings() -> dict[str, BucketRing]:
    """Return the rings of one device by the name of their window: 30 s, 3 min and 45 min a bucket."""
    return {"10m": BucketRing(30, 20, 4), "1h": BucketRing(180, 20, 8), "24h": BucketRing(2700, 32, 4)}
