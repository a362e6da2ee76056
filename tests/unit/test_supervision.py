"""Loops that crash restart with backoff and are counted; stopped loops stay stopped."""

import gevent
import pytest
from fakes import FakeClock, wait_until
from gevent.event import Event

from app.supervision import run_supervised


class CrashingLoop:
    """Raise each of `ends` in turn, then run until `stop`. `start_times` are the times of the calls."""

    def __init__(self, clock, *ends):
        self.clock, self.ends, self.start_times, self.crashes = clock, list(ends), [], 0
        self.stop = Event()

    def run(self):
        self.start_times.append(self.clock.monotonic())
        if self.ends:
            raise self.ends.pop(0)
        self.clock.wait(self.stop, 1e9)

    def count_crash(self):
        self.crashes += 1

    def start(self, **fields):
        return gevent.spawn(run_supervised, self.run, self.clock, self.stop, self.count_crash, **fields)


@pytest.fixture
def ignore_tracebacks(caplog):
    """Clear the log records: these tests cause the tracebacks."""
    yield caplog
    caplog.get_records("call").clear()


def pass_time(clock, seconds):
    for _ in range(seconds):
        clock.advance(1)
        gevent.sleep(0)
        gevent.sleep(0)
        wait_until(lambda: clock.is_idle)


def test_crashing_loop_restarts_with_backoff_up_to_one_minute(ignore_tracebacks):
    clock = FakeClock()
    loop = CrashingLoop(clock, *[ValueError("broken")] * 9)
    greenlet = loop.start()
    wait_until(lambda: loop.start_times)
    pass_time(clock, 400)
    pauses = [later - earlier for earlier, later in zip(loop.start_times, loop.start_times[1:], strict=False)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert loop.crashes == 9
    assert not greenlet.dead
    loop.stop.set()
    wait_until(lambda: greenlet.dead)


def test_backoff_is_reset_after_a_minute_without_crash(ignore_tracebacks):
    clock = FakeClock()
    loop = CrashingLoop(clock, ValueError(), ValueError(), ValueError())

    def run():
        before = len(loop.start_times)
        if before == 3:
            clock.wait(loop.stop, 90)
            loop.ends.append(ValueError())
        loop.run()

    greenlet = gevent.spawn(run_supervised, run, clock, loop.stop, loop.count_crash)
    wait_until(lambda: loop.start_times)
    pass_time(clock, 110)
    assert loop.crashes == 4
    assert loop.start_times[-1] - loop.start_times[-2] == 1
    greenlet.kill()


@pytest.mark.parametrize(
    "error", [RuntimeError("x"), gevent.Timeout(1), MemoryError(), RecursionError(), StopIteration()]
)
def test_each_crash_is_counted_and_logged(ignore_tracebacks, error):
    clock = FakeClock()
    loop = CrashingLoop(clock, error)
    greenlet = loop.start(mac="02:00:5e:00:00:01")
    wait_until(lambda: loop.crashes)
    (record,) = [record for record in ignore_tracebacks.records if record.exc_info]
    assert (record.levelname, record.mac) == ("ERROR", "02:00:5e:00:00:01")
    greenlet.kill()


@pytest.mark.parametrize("error", [gevent.GreenletExit(), None])
def test_loop_that_ends_on_purpose_is_not_restarted(error):
    clock = FakeClock()
    loop = CrashingLoop(clock, *([error] if error else []))
    greenlet = loop.start()
    wait_until(lambda: loop.start_times)
    loop.stop.set()
    wait_until(lambda: greenlet.dead)
    assert (len(loop.start_times), loop.crashes) == (1, 0)


def test_killed_loop_is_not_restarted():
    clock = FakeClock()
    loop = CrashingLoop(clock)
    greenlet = loop.start()
    wait_until(lambda: loop.start_times)
    greenlet.kill()
    assert (greenlet.dead, len(loop.start_times), loop.crashes) == (True, 1, 0)


def test_stop_ends_the_backoff(ignore_tracebacks):
    clock = FakeClock()
    loop = CrashingLoop(clock, *[ValueError()] * 100)
    greenlet = loop.start()
    wait_until(lambda: loop.crashes)
    loop.stop.set()
    greenlet.join(5)
    assert greenlet.dead
    assert loop.crashes == 1
