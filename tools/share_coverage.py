"""Simulation of the share-proven hashrate: how often its interval contains the true hashrate, and how often a healthy
device would be reported as contradicted by its shares.

    python -m tools.share_coverage [--hours 10000] [--days 2000]

prints both tables. docs/history.md has a copy.
"""

from __future__ import annotations

import argparse
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import exp, log2, sqrt
from random import Random

from app.models import ShareRate
from app.services.history.derived import DeviceFigures
from app.services.history.share_rate import HASHES_PER_DIFFICULTY, NORMAL_95, ShareSums, compute_gamma_quantile
from app.services.history.shares import ShareIncrease

HOUR = 3600.0
RETARGET_SECONDS, TARGET_SHARES = 600.0, 20


@dataclass(frozen=True, slots=True)
class Scenario:
    """A miner of `hashrate` GH/s for an hour. `difficulties`: (part of the hour, difficulty) in their order, or one
    start value from which the pool doubles or halves it by the number of shares that it gets (`is_retargeted`)."""

    name: str
    hashrate: float
    difficulties: tuple[tuple[float, float], ...]
    is_retargeted: bool = False

    @property
    def mean_shares(self) -> float:
        return sum(expect_shares(self.hashrate, difficulty, part * HOUR) for part, difficulty in self.difficulties)


SCENARIOS = (
    Scenario("0.5 TH/s, difficulty 16,384", 500, ((1, 16384),)),
    Scenario("1.2 TH/s, difficulty 32,768", 1200, ((1, 32768),)),
    Scenario("1.2 TH/s, difficulty 22,000", 1200, ((1, 22000),)),
    Scenario("0.5 TH/s, difficulty 6,000", 500, ((1, 6000),)),
    Scenario("1.2 TH/s, difficulty 8,192", 1200, ((1, 8192),)),
    Scenario("4.8 TH/s, difficulty 16,384.5", 4800, ((1, 16384.5),)),
    Scenario("4.8 TH/s, difficulty 10,000", 4800, ((1, 10000),)),
    Scenario("1.2 TH/s, 4,096, then 16,384 after half of the hour", 1200, ((0.5, 4096), (0.5, 16384))),
    Scenario("1.2 TH/s, 1,024 for 5 minutes, then 8,192", 1200, ((1 / 12, 1024), (11 / 12, 8192))),
    Scenario("0.5 TH/s, 16,384, 4,096, 1,024 for 20 minutes each", 500, ((1 / 3, 16384), (1 / 3, 4096), (1 / 3, 1024))),
    Scenario("1.2 TH/s, 4,096, then 65,536 for the last 10 minutes", 1200, ((5 / 6, 4096), (1 / 6, 65536))),
    Scenario("1.2 TH/s, from 1,024 on retargeted by the pool", 1200, ((1, 1024),), is_retargeted=True),
)


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of `hours` simulated hours, those with an interval (25 shares), and those whose interval contains the true
    hashrate; `covered_of_all` counts the intervals that the formula gives for fewer shares too."""

    hours: int
    with_interval: int
    covered: int
    covered_of_all: int

    @property
    def percent(self) -> float:
        return 100 * self.covered / self.with_interval if self.with_interval else float("nan")

    @property
    def percent_of_all(self) -> float:
        return 100 * self.covered_of_all / self.hours


def expect_shares(hashrate: float, difficulty: float, seconds: float) -> float:
    return hashrate * 1e9 * seconds / (difficulty * HASHES_PER_DIFFICULTY)


def draw_poisson(rng: Random, mean: float) -> int:
    return bisect(_cumulate_poisson(mean), rng.random())


@lru_cache(maxsize=1000)
def _cumulate_poisson(mean: float) -> list[float]:
    """Return the cumulative probabilities of the counts from 0 on, up to twelve standard deviations above the mean."""
    probabilities = [exp(-mean)]
    for count in range(1, round(mean + 12 * sqrt(mean) + 12)):
        probabilities.append(probabilities[-1] * mean / count)
    return list(accumulate(probabilities))


def simulate_hour(scenario: Scenario, rng: Random) -> ShareSums:
    """Return the sums of one hour."""
    sums = ShareSums()
    for difficulty, seconds, count in _draw_spans(scenario, rng):
        sums.add(ShareSums(count, count * difficulty, seconds, difficulty * seconds), 1)
    return sums


def _draw_spans(scenario: Scenario, rng: Random) -> Iterator[tuple[float, float, int]]:
    """Yield (difficulty, seconds, shares) of each span of the hour."""
    if not scenario.is_retargeted:
        for part, difficulty in scenario.difficulties:
            yield difficulty, part * HOUR, draw_poisson(rng, expect_shares(scenario.hashrate, difficulty, part * HOUR))
        return
    difficulty = scenario.difficulties[0][1]
    for _ in range(round(HOUR / RETARGET_SECONDS)):
        count = draw_poisson(rng, expect_shares(scenario.hashrate, difficulty, RETARGET_SECONDS))
        yield difficulty, RETARGET_SECONDS, count
        difficulty *= 2.0 ** round(log2(max(count, 1) / TARGET_SHARES))


def measure_coverage(scenario: Scenario, hours: int, seed: int) -> Coverage:
    """Simulate hours, and count the intervals that contain the true hashrate."""
    rng = Random(f"{seed}/{scenario.name}")  # noqa: S311 (a simulation)
    reported = covered = covered_of_all = 0
    for _ in range(hours):
        sums = simulate_hour(scenario, rng)
        rate = sums.estimate_rate()
        if rate is not None:
            reported += 1
            covered += contains(rate, scenario.hashrate)
        covered_of_all += contains(rate or estimate_below_threshold(sums), scenario.hashrate)
    return Coverage(hours, reported, covered, covered_of_all)


def contains(rate: ShareRate, hashrate: float) -> bool:
    return rate.low <= hashrate <= rate.high


def estimate_below_threshold(sums: ShareSums) -> ShareRate:
    """Return the interval of an hour with fewer shares than the service accepts, by the same formula."""
    unit = sums.exposure / sums.seconds
    scale = unit * HASHES_PER_DIFFICULTY / sums.seconds / 1e9
    effective = sums.work / unit
    low, high = (scale * compute_gamma_quantile(effective + 0.5, sign * NORMAL_95) for sign in (-1, 1))
    return ShareRate(scale * effective, low, high)


def count_false_warnings(shares_per_hour: float, days: int, seed: int, reported: float = 1.0) -> int:
    """Return how often a healthy device, polled once a minute, would begin to be reported as contradicted by its
    shares. `reported`: its reported hashrate as a part of the true one."""
    rng = Random(f"{seed}/{shares_per_hour}/{reported}")  # noqa: S311 (a simulation)
    hashrate, difficulty = 1200.0, 1200.0 * 1e9 * HOUR / HASHES_PER_DIFFICULTY / shares_per_hour
    figures, warned, warnings = DeviceFigures(), False, 0
    for minute in range(1, days * 1440 + 1):
        count = draw_poisson(rng, shares_per_hour / 60)
        now = minute * 60.0
        figures.add_shares(now, ShareIncrease(count, 0, count * difficulty, 60.0), hashrate * reported, difficulty)
        figures.refresh_statistics(now)
        warnings += figures.contradiction is not None and not warned
        warned = figures.contradiction is not None
    return warnings


def print_tables(hours: int, days: int) -> None:
    print("| scenario | shares an hour | hours with an interval | it contains the truth | formula, all hours |")
    print("|---|---|---|---|---|")
    rows = [(scenario, measure_coverage(scenario, hours, 12)) for scenario in SCENARIOS]
    for scenario, row in rows:
        mean = "varies" if scenario.is_retargeted else f"{scenario.mean_shares:.0f}"
        part = 100 * row.with_interval / row.hours
        print(f"| {scenario.name} | {mean} | {part:.1f} % | {row.percent:.2f} % | {row.percent_of_all:.2f} % |")
    total = Coverage(*(sum(column) for column in zip(*map(_list_counts, (row for _, row in rows)), strict=True)))
    part = 100 * total.with_interval / total.hours
    print(f"| all | | {part:.1f} % | {total.percent:.2f} % | {total.percent_of_all:.2f} % |")
    print("\n| shares an hour | reported / true | false warnings per device and 30 days |\n|---|---|---|")
    for shares, reported in ((30, 1.0), (100, 1.0), (400, 1.0), (1000, 1.0), (1000, 1.02)):
        print(f"| {shares} | {reported:g} | {30 * count_false_warnings(shares, days, 12, reported) / days:.2f} |")


def _list_counts(row: Coverage) -> Sequence[int]:
    return row.hours, row.with_interval, row.covered, row.covered_of_all


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=2000)
    options = parser.parse_args()
    print_tables(options.hours, options.days)
