"""Loops that crash begin again, ever later, and are counted; those that are ended stay ended."""

import gevent
import pytest
from fakes import FakeClock, eventually
from gevent.event import Event

from app.supervision import keep_running


class Loop:
    """Crashes with each of `ends` in turn; after them it runs until `stop`. `began`: when it was called."""

    def __init__(self, clock, *ends):
        self.clock, self.ends, self.began, self.crashes = clock, list(ends), [], 0
        self.stop = Event()

    def run(self):
        self.began.append(self.clock.monotonic())
        if self.ends:
            raise self.ends.pop(0)
        self.clock.wait(self.stop, 1e9)

    def crashed(self):
        self.crashes += 1

    def start(self, **where):
        return gevent.spawn(keep_running, self.run, self.clock, self.stop, self.crashed, **where)


@pytest.fixture
def forgive(caplog):
    """The tracebacks are what these tests are about."""
    yield caplog
    caplog.get_records("call").clear()


def pass_time(clock, seconds):
    for _ in range(seconds):
        clock.advance(1)
        gevent.sleep(0)
        gevent.sleep(0)
        eventually(lambda: clock.idle)


def test_it_begins_again_ever_later_at_most_a_minute(forgive):
    clock = FakeClock()
    loop = Loop(clock, *[ValueError("broken")] * 9)
    greenlet = loop.start()
    eventually(lambda: loop.began)
    pass_time(clock, 400)
    pauses = [later - earlier for earlier, later in zip(loop.began, loop.began[1:], strict=False)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert loop.crashes == 9
    assert not greenlet.dead
    loop.stop.set()
    eventually(lambda: greenlet.dead)


def test_after_a_minute_without_one_it_counts_from_the_beginning(forgive):
    clock = FakeClock()
    loop = Loop(clock, ValueError(), ValueError(), ValueError())

    def run():
        before = len(loop.began)
        if before == 3:
            clock.wait(loop.stop, 90)
            loop.ends.append(ValueError())
        loop.run()

    greenlet = gevent.spawn(keep_running, run, clock, loop.stop, loop.crashed)
    eventually(lambda: loop.began)
    pass_time(clock, 110)
    assert loop.crashes == 4
    assert loop.began[-1] - loop.began[-2] == 1
    greenlet.kill()


@pytest.mark.parametrize(
    "error", [RuntimeError("x"), gevent.Timeout(1), MemoryError(), RecursionError(), StopIteration()]
)
def test_whatever_ends_it_counts_and_is_said(forgive, error):
    clock = FakeClock()
    loop = Loop(clock, error)
    greenlet = loop.start(mac="02:00:5e:00:00:01")
    eventually(lambda: loop.crashes)
    (record,) = [record for record in forgive.records if record.exc_info]
    assert (record.levelname, record.mac) == ("ERROR", "02:00:5e:00:00:01")
    greenlet.kill()


@pytest.mark.parametrize("error", [gevent.GreenletExit(), None])
def test_what_is_ended_on_purpose_stays_ended(error):
    clock = FakeClock()
    loop = Loop(clock, *([error] if error else []))
    greenlet = loop.start()
    eventually(lambda: loop.began)
    loop.stop.set()
    eventually(lambda: greenlet.dead)
    assert (len(loop.began), loop.crashes) == (1, 0)


def test_one_that_is_killed_stays_dead():
    clock = FakeClock()
    loop = Loop(clock)
    greenlet = loop.start()
    eventually(lambda: loop.began)
    greenlet.kill()
    assert (greenlet.dead, len(loop.began), loop.crashes) == (True, 1, 0)


def test_a_stop_ends_the_pause(forgive):
    clock = FakeClock()
    loop = Loop(clock, *[ValueError()] * 100)
    greenlet = loop.start()
    eventually(lambda: loop.crashes)
    loop.stop.set()
    greenlet.join(5)
    assert greenlet.dead
    assert loop.crashes == 1
