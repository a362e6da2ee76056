"""The hashrate that accepted shares prove: estimate, interval, threshold, and the trailing windows of a chart."""

import math
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.services.history.share_rate import (
    MIN_SHARES,
    NORMAL_95,
    NORMAL_99,
    compute_gamma_quantile,
    estimate_share_rate,
    estimate_trailing_rates,
)
from tools.share_coverage import SCENARIOS, Coverage, count_false_warnings, measure_coverage

ANY_NUMBER = st.floats() | st.integers(-5, 100).map(float)


def cumulate_gamma(shape, value):
    """Return P(X <= value) of the gamma distribution with scale 1, by its power series."""
    term = total = 1 / shape
    for step in range(1, 2000):
        term *= value / (shape + step)
        total += term
    return total * math.exp(shape * math.log(value) - value - math.lgamma(shape))


def estimate_equal_shares(count, difficulty=1000.0, seconds=3600.0):
    return estimate_share_rate(count, count * difficulty, count * difficulty**2, seconds)


@pytest.mark.parametrize("count", [25, 26, 40, 100, 400])
@pytest.mark.parametrize(("normal", "tail"), [(NORMAL_95, 0.025), (NORMAL_99, 0.005)])
def test_gamma_quantile_has_the_stated_probability(count, normal, tail):
    low, high = (compute_gamma_quantile(count + 0.5, sign * normal) for sign in (-1, 1))
    assert cumulate_gamma(count + 0.5, low) == pytest.approx(tail, rel=0.015)
    assert 1 - cumulate_gamma(count + 0.5, high) == pytest.approx(tail, rel=0.015)


def test_estimate_is_work_times_two_to_the_32_per_second():
    rate = estimate_equal_shares(100)
    assert rate.estimate == pytest.approx(100 * 1000 * 2**32 / 3600 / 1e9)
    # Jeffreys' limits for a count of 100: 81.8 and 121.0 (gamma quantiles of 100.5)
    assert [limit / rate.estimate for limit in (rate.low, rate.high)] == pytest.approx([0.818, 1.210], abs=0.001)


def test_fewer_than_25_shares_prove_nothing():
    assert [estimate_equal_shares(count) is None for count in (0, 1, 24, 25, 26)] == [True, True, True, False, False]


def test_shares_of_different_difficulty_count_as_fewer():
    """40 shares of difficulty 1,000 and 10 of 4,000 have the relative error of 32 equal ones."""
    mixed = estimate_share_rate(50, 80_000, 40 * 1000**2 + 10 * 4000**2, 3600)
    equal = estimate_share_rate(32, 80_000, 80_000**2 / 32, 3600)
    assert (mixed.estimate, mixed.low, mixed.high) == pytest.approx((equal.estimate, equal.low, equal.high))
    assert estimate_share_rate(50, 40 * 1000 + 10 * 64_000, 40 * 1000**2 + 10 * 64_000**2, 3600) is None


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan])
@pytest.mark.parametrize("place", range(4))
def test_invalid_sum_proves_nothing(wrong, place):
    sums = [100.0, 1e5, 1e8, 3600.0]
    assert estimate_share_rate(*sums) is not None
    sums[place] = wrong
    assert estimate_share_rate(*sums) is None


@given(ANY_NUMBER, ANY_NUMBER, ANY_NUMBER, ANY_NUMBER)
@example(1e308, 1e308, 1e308, 1e-308)
@example(100.0, 1e308, 1e-308, 1.0)
@example(100.0, 5e-324, 5e-324, 1e308)
def test_limits_of_any_sums_are_finite_and_ordered(accepted, work, squares, seconds):
    rate = estimate_share_rate(accepted, work, squares, seconds)
    if rate is not None:
        assert accepted > MIN_SHARES - 1e-6
        assert 0 <= rate.low <= rate.estimate <= rate.high < math.inf


# Coverage: `python -m tools.share_coverage` prints the table of docs/history.md.


@pytest.fixture(scope="module")
def coverages():
    return {scenario.name: measure_coverage(scenario, 10_000, seed=12) for scenario in SCENARIOS}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_interval_contains_the_true_hashrate_in_95_percent_of_hours(coverages, scenario):
    """Hours with few shares count by the formula too: of a miner that finds 25 to 35 an hour, the hours above the
    threshold are a selection, whose coverage may be higher, never lower."""
    coverage = coverages[scenario.name]
    assert coverage.percent_of_all == pytest.approx(95, abs=1)
    assert coverage.percent >= 94
    if coverage.with_interval >= 0.99 * coverage.hours:
        assert coverage.percent == pytest.approx(95, abs=1)


def test_interval_contains_the_true_hashrate_over_all_scenarios(coverages):
    columns = zip(*((each.hours, each.with_interval, each.covered, 0) for each in coverages.values()), strict=True)
    total = Coverage(*map(sum, columns))
    assert total.hours == 10_000 * len(SCENARIOS)
    assert total.percent == pytest.approx(95, abs=1)


def test_healthy_device_is_not_reported_as_contradicted():
    """Outside of the 95 % interval for an hour, it would be six times in these 120 days."""
    assert count_false_warnings(shares_per_hour=100, days=120, seed=12) == 0


@pytest.mark.parametrize("reported", [2.0, 0.5])
def test_false_hashrate_is_reported_as_contradicted(reported):
    assert count_false_warnings(shares_per_hour=100, days=1, seed=12, reported=reported) == 1


# Trailing windows.

STEP = 60.0


def make_samples(count, step=STEP, shares=2.0, difficulty=1000.0):
    times = [1_000_000 + step * (at + 1) - 1 for at in range(count)]
    return times, [shares] * count, [shares * difficulty] * count, [step] * count


def test_trailing_rate_covers_the_hour_before_each_step():
    rates = estimate_trailing_rates(*make_samples(180), start=1_000_000, step=STEP, points=180)
    assert [rate is None for rate in rates[:14]] == [True] * 12 + [False] * 2  # 25 shares are there after 13 minutes
    assert {round(rate.estimate, 6) for rate in rates[12:]} == {round(2 * 1000 * 2**32 / 60 / 1e9, 6)}
    assert (rates[-1].low, rates[-1].high) == pytest.approx((rates[60].low, rates[60].high))
    assert rates[20].high - rates[20].low > rates[60].high - rates[60].low


def test_trailing_rate_with_longer_step_covers_the_step():
    samples = make_samples(8 * 4, step=900.0, shares=1.0)
    rates = estimate_trailing_rates(*samples, start=1_000_000, step=8 * 3600.0, points=1)
    assert rates[0].estimate == pytest.approx(1000 * 2**32 / 900 / 1e9)
    assert estimate_trailing_rates(*samples, start=1_000_000, step=3600.0, points=8) == [None] * 8


def test_trailing_rate_is_absent_over_a_gap_and_returns_after_it():
    times, accepted, work, seconds = make_samples(360)
    for column in (accepted, work, seconds):
        column[120:240] = [math.nan] * 120
    rates = estimate_trailing_rates(times, accepted, work, seconds, start=1_000_000, step=STEP, points=360)
    assert rates[200] is None
    assert rates[359].estimate == pytest.approx(rates[100].estimate)


def test_sample_without_shares_has_the_difficulty_before_it():
    """After a rise of the difficulty, silence says more than the few shares of the lower one."""
    times, accepted, work, seconds = make_samples(60)
    accepted[30:], work[30:] = [1.0] + [0.0] * 29, [64_000.0] + [0.0] * 29
    assert estimate_trailing_rates(times, accepted, work, seconds, 1_000_000, STEP, 60)[-1] is None


def test_trailing_rates_take_linear_time():
    samples = make_samples(40_000)
    began = time.process_time()
    rates = estimate_trailing_rates(*samples, start=1_000_000, step=STEP, points=40_000)
    assert rates[-1].estimate == pytest.approx(2 * 1000 * 2**32 / 60 / 1e9)
    assert time.process_time() - began < 2  # 0.3 s; with a sum per point it would be a minute
