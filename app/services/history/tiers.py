"""The tiers of the history: their resolution, how long each is kept, and which one answers a query. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from app.store.history import DAY, HOUR, Tier

NAMES = {Tier.RAW: "raw", Tier.MINUTE: "1m", Tier.QUARTER: "15m"}
MINUTE, QUARTER = 60, 900
MIN_LOOKBACK = 30.0
# Measured with simulated miners (docs/history.md): compressed bytes of one sample, and LevelDB's share on top.
BYTES_PER_SAMPLE = {Tier.RAW: 38.0, Tier.MINUTE: 78.0, Tier.QUARTER: 55.0}
DISK_OVERHEAD = 1.05


@dataclass(frozen=True, slots=True)
class Tiers:
    """`resolutions`: seconds per sample. `retention`: seconds for which a tier is kept; 0 if it is off."""

    resolutions: Mapping[Tier, int]
    retention: Mapping[Tier, float]

    @property
    def is_enabled(self) -> bool:
        return any(self.retention.values())

    def get_lookback(self, tier: Tier, interval: float = 0.0) -> float:
        """Return the seconds for which a value is valid: its own span and the next one, which may have no sample yet;
        30 s at least, so that missed polls leave no gap before a device is offline. `interval`: seconds between two
        values if that is longer than the tier's resolution."""
        return max(2.0 * self.resolutions[tier], interval + MIN_LOOKBACK)

    def estimate_bytes(self) -> float:
        """Return the expected size on disk of one device when all tiers are full."""
        return sum(
            self.retention[tier] / self.resolutions[tier] * BYTES_PER_SAMPLE[tier] * DISK_OVERHEAD for tier in Tier
        )

    def choose_tier(self, start: float, now: float, wanted_step: float, pruned: Mapping[Tier, float]) -> Tier:
        """Return the coarsest tier that is as fine as wanted and still has `start`; else the finest that has it;
        else the one that is kept longest. `pruned`: until when each tier was deleted, which may be later than its
        retention says if that was shorter before."""
        enabled = [tier for tier in Tier if self.retention[tier]]
        reaching = [
            tier
            for tier in enabled
            if now - start <= self.retention[tier] + MINUTE and start + self.resolutions[tier] >= pruned.get(tier, 0)
        ]
        if not reaching:
            return max(enabled or [Tier.RAW], key=lambda tier: self.retention[tier])
        fine = [tier for tier in reaching if self.resolutions[tier] <= wanted_step]
        return fine[-1] if fine else reaching[0]


def make_tiers(poll_interval: float, raw_hours: int, minute_days: int, quarter_days: int) -> Tiers:
    """Return the tiers for these settings. 0 turns one off."""
    return Tiers(
        {Tier.RAW: max(1, ceil(poll_interval)), Tier.MINUTE: MINUTE, Tier.QUARTER: QUARTER},
        {Tier.RAW: raw_hours * HOUR, Tier.MINUTE: minute_days * DAY, Tier.QUARTER: quarter_days * DAY},
    )


@dataclass(frozen=True, slots=True)
class Grid:
    """The time axis of an answer: `count` spans of `step` seconds from `start`, a multiple of the tier's resolution."""

    start: int
    step: int
    count: int

    @property
    def times(self) -> range:
        return range(self.start, self.start + self.count * self.step, self.step)

    @property
    def stop(self) -> int:
        return self.start + self.count * self.step


def make_grid(start: float, stop: float, points: int, resolution: int) -> Grid:
    """Return the grid of at most `points` spans, each a multiple of the resolution. It begins with the
    first whole sample after `start`; the last span contains `stop`."""
    first = ceil(start / resolution) * resolution
    step = max(1, ceil((stop - first) / points / resolution)) * resolution
    return Grid(first, step, max(1, ceil((stop - first) / step)))
