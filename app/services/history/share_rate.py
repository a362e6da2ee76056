"""The hashrate that accepted shares prove. Pure.

A share of difficulty d is found once in d × 2^32 hashes on average, whatever the difficulty of earlier shares was. The
sum of the difficulties of the accepted shares ("work") therefore estimates the number of hashes without bias, and its
relative error is that of a Poisson count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt

from app.models import ShareRate

HASHES_PER_DIFFICULTY = 2.0**32
MIN_SHARES = 25
SHORTEST_WINDOW_SECONDS = 3600.0
# Quantiles of the normal distribution for two-sided intervals.
NORMAL_95 = 1.959963984540054
NORMAL_99 = 2.5758293035489004
_ROUNDING = 1e-9


def estimate_share_rate(
    accepted: float, work: float, squares: float, seconds: float, normal: float = NORMAL_95
) -> ShareRate | None:
    """Return the hashrate in GH/s with its confidence interval, or None if there are fewer than 25 shares.

    `work`: sum of the difficulties of the shares. `squares`: sum of their squares, or its expected value (see
    `expect_squares`). Shares of different difficulties count as work² / squares shares of one difficulty, and this
    number has to be 25 too: of a few large shares among many small ones, chance decides the sum. `normal`: the
    quantile of the normal distribution that belongs to the confidence.
    """
    if not (accepted >= MIN_SHARES - _ROUNDING and work > 0 and squares > 0 and seconds > 0):  # also for NaN
        return None
    unit = squares / work
    effective = work / unit if unit else 0.0
    scale = unit * HASHES_PER_DIFFICULTY / seconds / 1e9
    if not (effective >= MIN_SHARES - _ROUNDING and isfinite(effective * scale)):
        return None
    low, high = (scale * compute_gamma_quantile(effective + 0.5, sign * normal) for sign in (-1, 1))
    return ShareRate(scale * effective, low, high)


def compute_gamma_quantile(shape: float, normal: float) -> float:
    """Return a quantile of the gamma distribution with scale 1 (Wilson and Hilferty, 1931).

    With shape n + 1/2 it is Jeffreys' limit for the mean of a Poisson count n. From n = 25 on it differs from the exact
    quantile by at most 0.03 % (95 %) and 0.12 % (99 %).
    """
    return shape * (1 - 1 / (9 * shape) + normal / (3 * sqrt(shape))) ** 3


def expect_squares(work: float, exposure: float, seconds: float) -> float:
    """Return the expected sum of the squared difficulties, from the time at each difficulty.

    `exposure`: the sum of difficulty × seconds. The shares themselves are a worse source: they do not show a difficulty
    so high that no share was found yet.
    """
    return work * exposure / seconds if seconds else 0.0


@dataclass(slots=True)
class ShareSums:
    """Sums over a span of time: accepted shares, their work, seconds, and difficulty × seconds."""

    accepted: float = 0.0
    work: float = 0.0
    seconds: float = 0.0
    exposure: float = 0.0

    def add(self, other: ShareSums, sign: int) -> None:
        self.accepted += sign * other.accepted
        self.work += sign * other.work
        self.seconds += sign * other.seconds
        self.exposure += sign * other.exposure

    def estimate_rate(self, normal: float = NORMAL_95) -> ShareRate | None:
        squares = expect_squares(self.work, self.exposure, self.seconds)
        return estimate_share_rate(self.accepted, self.work, squares, self.seconds, normal)


def iterate_share_sums(
    accepted: Sequence[float], work: Sequence[float], seconds: Sequence[float]
) -> Iterator[ShareSums]:
    """Yield the sums of each stored sample. A sample without shares had the difficulty of the one before it; an invalid
    sample (NaN, negative) counts nothing."""
    difficulty = 0.0
    for count, amount, elapsed in zip(accepted, work, seconds, strict=True):
        if not (count >= 0 and 0 <= amount < 1e30 and 0 < elapsed < 1e9):
            yield ShareSums()
            continue
        if count and amount:
            difficulty = amount / count
        yield ShareSums(count, amount, elapsed, difficulty * elapsed)


def estimate_trailing_rates(
    times: Sequence[float],
    accepted: Sequence[float],
    work: Sequence[float],
    seconds: Sequence[float],
    start: float,
    step: float,
    points: int,
) -> list[ShareRate | None]:
    """Return the share-proven hashrate at the end of each of `points` steps from `start` on, over the hour before it
    (over the step, if that is longer); None with fewer than 25 shares.

    `times`: unix seconds of the samples, ascending; the other columns belong to them. Takes time in proportion to
    samples and points.
    """
    window = max(step, SHORTEST_WINDOW_SECONDS)
    samples = list(iterate_share_sums(accepted, work, seconds))
    rates: list[ShareRate | None] = []
    sums, first, after = ShareSums(), 0, 0
    for point in range(1, points + 1):
        end = start + point * step
        while after < len(samples) and times[after] < end:
            sums.add(samples[after], 1)
            after += 1
        while first < after and times[first] < end - window:
            sums.add(samples[first], -1)
            first += 1
        if first == after:
            sums = ShareSums()  # without the rounding errors of what left the window
        rates.append(sums.estimate_rate())
    return rates
