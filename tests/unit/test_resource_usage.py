"""The use of CPU over the last minute, and the lag of the event loop."""

import pytest
from fakes import FakeClock

from app.services.resource_usage import ResourceUsage


class CpuTime:
    def __init__(self):
        self.seconds = 7.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def cpu():
    return CpuTime()


def run_seconds(usage, clock, cpu, seconds, *, load, lag=0.0):
    for _ in range(seconds):
        clock.advance(1)
        cpu.seconds += load
        usage.record_second(lag)


def test_load_is_that_of_the_last_minute(cpu):
    clock = FakeClock()
    usage = ResourceUsage(clock, cpu)
    run_seconds(usage, clock, cpu, 600, load=0.8, lag=2.0)
    run_seconds(usage, clock, cpu, 30, load=0.2, lag=0.001)
    assert usage.read_usage().cpu_percent == pytest.approx(50)
    assert usage.read_usage().lag_max == 2.0
    run_seconds(usage, clock, cpu, 30, load=0.2, lag=0.003)
    now = usage.read_usage()
    assert now.cpu_percent == pytest.approx(20)
    assert now.lag_max == 0.003
    assert now.lag_mean == pytest.approx(0.002)
    assert now.uptime_seconds == 660


def test_before_the_first_second_nothing_is_known(cpu):
    now = ResourceUsage(FakeClock(), cpu).read_usage()
    assert (now.cpu_percent, now.lag_mean, now.lag_max) == (0, None, None)
    assert now.threads >= 1
