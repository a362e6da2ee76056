"""Sliding windows of shares: sums over the last ten minutes, hour and day in ring buckets."""

import sys
from random import Random

import pytest

from app.services.history.share_windows import BucketRing, create_rings

WIDTH, COUNT = 30.0, 20


def make_ring():
    return BucketRing(WIDTH, COUNT, 2)


def test_ring_sums_what_is_inside_its_window():
    ring, rng, added = make_ring(), Random(3), []
    now = 12_345.0
    for _ in range(3000):
        now += rng.choice((1.0, 5.0, 5.0, 5.0, 29.0, 61.0, 700.0) if rng.random() < 0.1 else (5.0,))
        amount = rng.randrange(100)
        ring.add_amounts(now, 5.0, (amount, 1.0))
        added.append((now, amount))
        begin = (now // WIDTH - COUNT + 1) * WIDTH
        assert ring.totals[0] == sum(each for at, each in added if at >= begin)


def test_amounts_of_a_long_time_are_spread_over_its_buckets():
    ring = make_ring()
    ring.add_amounts(6000.0, 300.0, (100.0, 300.0))
    assert ring.totals == pytest.approx([100.0, 300.0])
    ring.add_amounts(6000.0 + 450.0, 5.0, (0.0, 5.0))
    assert ring.totals == pytest.approx([40.0, 125.0])  # of the 300 s, the last 120 are inside the window


def test_only_the_part_inside_the_window_counts():
    ring = make_ring()
    ring.add_amounts(6000.0, 1140.0 + 5700.0, (684.0, 6840.0))
    assert ring.totals == pytest.approx([57.0, 570.0])  # the last 19 buckets; the 20th begins now


def test_huge_amount_leaves_no_rounding_error_behind():
    ring = make_ring()
    ring.add_amounts(0.0, 5.0, (1e300, float("inf")))
    for at in range(1, 200):
        ring.add_amounts(at * 5.0, 5.0, (1.0, 1.0))
    assert ring.totals == [116.0, 116.0]  # since 420 s


def test_ring_is_empty_after_a_pause_longer_than_its_window():
    ring = make_ring()
    ring.add_amounts(0.0, 5.0, (7.0, 7.0))
    ring.add_amounts(1e9, 5.0, (1.0, 2.0))
    assert ring.totals == [1.0, 2.0]


def test_windows_of_a_device_take_four_kilobytes():
    rings = create_rings().values()
    assert sum(map(sys.getsizeof, rings)) + sum(sys.getsizeof(ring._buckets) for ring in rings) < 4096
