"""Token buckets, in fake time."""

import tracemalloc

import pytest
from fakes import count_live_greenlets

from app.security.rate_limits import MAX_BUCKETS, WRITE_BURST, TokenBuckets, WriteRateLimit


def take_all(bucket, burst, rate):
    """Take tokens until none is left, and return their number."""
    count = 0
    while not bucket.consume_tokens(burst, rate):
        count += 1
    return count


def test_bucket_allows_burst_and_then_steady_rate(clock):
    bucket = TokenBuckets(clock.monotonic).get_bucket("peer")
    assert take_all(bucket, 200, 10) == 200
    assert bucket.seconds_until_available(200, 10) == pytest.approx(0.1)
    for seconds in (0.1, 1, 5):
        clock.advance(seconds)
        assert take_all(bucket, 200, 10) == round(10 * seconds)
    clock.advance(10_000)
    assert take_all(bucket, 200, 10) == 200


def test_higher_cost_waits_longer(clock):
    bucket = TokenBuckets(clock.monotonic).get_bucket("peer")
    assert bucket.consume_tokens(100, 1, 60) == 0
    assert bucket.consume_tokens(100, 1, 60) == pytest.approx(20)
    assert bucket.consume_tokens(100, 1, 40) == 0


def test_wait_takes_no_token(clock):
    bucket = TokenBuckets(clock.monotonic).get_bucket("peer")
    assert [bucket.seconds_until_available(1, 1) for _ in range(5)] == [0] * 5
    assert take_all(bucket, 1, 1) == 1


def test_buckets_per_key_use_bounded_memory(clock):
    """With many more peers the memory stays that of ten thousand, and an active peer keeps its used-up bucket."""
    buckets = TokenBuckets(clock.monotonic)
    greenlets = count_live_greenlets()
    for number in range(MAX_BUCKETS):
        buckets.get_bucket(f"{number}").consume_tokens(5, 0.1, 5)
    assert take_all(buckets.get_bucket("busy"), 5, 0.1) == 5
    tracemalloc.start()
    for number in range(3 * MAX_BUCKETS):
        buckets.get_bucket(f"later {number}").consume_tokens(5, 0.1)
        assert number % 1000 or buckets.get_bucket("busy").seconds_until_available(5, 0.1)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 8 * 1024 * 1024
    assert count_live_greenlets() == greenlets
    assert buckets.get_bucket("0").seconds_until_available(5, 0.1) == 0


def make_request(method="PUT", peer="192.168.1.9"):
    return {"REQUEST_METHOD": method, "REMOTE_ADDR": peer, "PATH_INFO": "/devices/listen"}


def count_passed(limit, **options):
    count = 0
    while (answer := limit(make_request(**options))) is None:
        count += 1
        assert count < 100_000
    return count, answer


@pytest.mark.parametrize(
    ("devices", "rate", "burst"), [(0, 10, WRITE_BURST), (100, 10, 200), (1000, 10, 2000), (3, 500, 1000)]
)
def test_limit_allows_two_writes_per_device(clock, devices, rate, burst):
    count, answer = count_passed(WriteRateLimit(clock.monotonic, lambda: devices, rate))
    assert count == burst
    assert (answer.status[:3], dict(answer.headers)) == ("429", {"Retry-After": "1"})


def test_newly_found_devices_raise_the_limit_at_once(clock):
    """The frontend adds each device that a scan found with its own request."""
    known = [0]
    limit = WriteRateLimit(clock.monotonic, lambda: known[0], 10)
    assert count_passed(limit)[0] == 200
    known[0] = 500
    assert count_passed(limit)[0] == 800


def test_reads_are_not_limited_and_peers_are_independent(clock):
    limit = WriteRateLimit(clock.monotonic, lambda: 0, 10)
    count_passed(limit)
    for method in ("GET", "HEAD", "OPTIONS"):
        assert limit(make_request(method)) is None
    assert limit(make_request(peer="192.168.1.8")) is None
    assert limit(make_request("DELETE")) is not None
