"""Long work lets other greenlets and I/O run, short work does not wait, and input has bounds."""

from time import perf_counter

import gevent
import pytest

from app.throttle import HOLD_SECONDS, InputLimit, throttled, yield_if_due


def hold_loop(seconds=HOLD_SECONDS):
    until = perf_counter() + seconds
    while perf_counter() < until:
        pass


def test_items_that_cost_nothing_are_returned_without_a_yield(loop_iterations):
    gevent.sleep(0.001)
    before = len(loop_iterations)
    assert list(throttled(range(50))) == list(range(50))
    assert len(loop_iterations) - before < 5  # none, unless this machine stopped meanwhile


def test_other_greenlets_run_after_every_second_item_that_holds_the_loop(loop_iterations):
    def produce_slowly():
        for item in range(5):
            hold_loop()
            yield item

    seen = [(item, len(loop_iterations)) for item in throttled(produce_slowly())]
    assert [item for item, _ in seen] == list(range(5))
    assert len({count for _, count in seen}) >= 3  # time counts from the first check in an iteration


def test_a_timer_fires_while_a_loop_that_never_waits_is_running():
    timer_events = []
    gevent.spawn_later(0.01, timer_events.append, True)
    until = perf_counter() + 5
    while not timer_events and perf_counter() < until:
        yield_if_due()
    assert timer_events


@pytest.mark.parametrize(("sizes", "items"), [([4, 4, 3], 10), ([1, 1, 1], 2)], ids=["bytes", "items"])
def test_input_beyond_either_bound_raises_the_callers_error(sizes, items):
    limit = InputLimit(10, items, lambda: ValueError("too much"))
    limit.count_input(sizes[0])
    limit.count_input(sizes[1])
    with pytest.raises(ValueError, match="too much"):
        limit.count_input(sizes[2])


def test_counting_input_yields_to_the_event_loop(loop_iterations):
    limit = InputLimit(100, 100, ValueError)
    before = len(loop_iterations)
    for _ in range(3):
        hold_loop()
        limit.count_input(1)
    assert len(loop_iterations) > before
