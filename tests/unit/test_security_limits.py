"""Token buckets, in fake time."""

import tracemalloc

import pytest
from fakes import live_greenlets

from app.security.limits import MOST_KEYS, WRITE_BURST, Buckets, WriteLimit


def taken(bucket, burst, rate):
    """How many there are now."""
    count = 0
    while not bucket.take(burst, rate):
        count += 1
    return count


def test_a_burst_and_then_a_steady_rate(clock):
    bucket = Buckets(clock.monotonic).of("peer")
    assert taken(bucket, 200, 10) == 200
    assert bucket.wait(200, 10) == pytest.approx(0.1)
    for seconds in (0.1, 1, 5):
        clock.advance(seconds)
        assert taken(bucket, 200, 10) == round(10 * seconds)
    clock.advance(10_000)
    assert taken(bucket, 200, 10) == 200


def test_what_costs_more_waits_longer(clock):
    bucket = Buckets(clock.monotonic).of("peer")
    assert bucket.take(100, 1, 60) == 0
    assert bucket.take(100, 1, 60) == pytest.approx(20)
    assert bucket.take(100, 1, 40) == 0


def test_asking_takes_nothing(clock):
    bucket = Buckets(clock.monotonic).of("peer")
    assert [bucket.wait(1, 1) for _ in range(5)] == [0] * 5
    assert taken(bucket, 1, 1) == 1


def test_each_key_has_its_own_and_they_do_not_pile_up(clock):
    """Many more peers: as much memory as for ten thousand, and whoever is active keeps what he used up."""
    buckets = Buckets(clock.monotonic)
    greenlets = live_greenlets()
    for number in range(MOST_KEYS):
        buckets.of(f"{number}").take(5, 0.1, 5)
    assert taken(buckets.of("busy"), 5, 0.1) == 5
    tracemalloc.start()
    for number in range(3 * MOST_KEYS):
        buckets.of(f"later {number}").take(5, 0.1)
        assert number % 1000 or buckets.of("busy").wait(5, 0.1)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 8 * 1024 * 1024
    assert live_greenlets() == greenlets
    assert buckets.of("0").wait(5, 0.1) == 0


def request(method="PUT", peer="192.168.1.9", path="/devices/listen"):
    return {"REQUEST_METHOD": method, "REMOTE_ADDR": peer, "PATH_INFO": path}


def passed(limit, **options):
    count = 0
    while (answer := limit(request(**options))) is None:
        count += 1
        assert count < 100_000
    return count, answer


@pytest.mark.parametrize(
    ("devices", "rate", "burst"), [(0, 10, WRITE_BURST), (100, 10, 200), (1000, 10, 2000), (3, 500, 1000)]
)
def test_somebody_may_do_something_to_each_device_twice(clock, devices, rate, burst):
    count, answer = passed(WriteLimit(clock.monotonic, lambda: devices, rate, lambda environ: False))
    assert count == burst
    assert (answer.status[:3], dict(answer.headers)) == ("429", {"Retry-After": "1"})


def test_devices_that_were_just_found_count_at_once(clock):
    """Somebody adds what the scan found: a request each."""
    known = [0]
    limit = WriteLimit(clock.monotonic, lambda: known[0], 10, lambda environ: False)
    assert passed(limit)[0] == 200
    known[0] = 500
    assert passed(limit)[0] == 800


def test_reads_and_what_engine_io_is_told_are_not_limited_and_each_peer_has_its_own(clock):
    limit = WriteLimit(clock.monotonic, lambda: 0, 10, lambda environ: environ["PATH_INFO"] == "/socket/io/")
    passed(limit)
    for method in ("GET", "HEAD", "OPTIONS"):
        assert limit(request(method)) is None
    assert limit(request("POST", path="/socket/io/")) is None
    assert limit(request(peer="192.168.1.8")) is None
    assert limit(request("DELETE")) is not None
