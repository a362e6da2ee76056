"""Yield to the event loop from code that could hold it, and bound loops over foreign input.

Every loop over input of foreign size (a device, a client, another service, a file) uses one of these: `throttled` for
items that exist already, `InputLimit` for input that arrives, `yield_if_due` where neither fits. Otherwise
code that never blocks holds the loop for as long as the peer sends; no gevent timeout fires then, and gunicorn's
master kills the worker after 30 s.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import TypeVar

import gevent

# By elapsed time, not by count: items differ, and so do machines.
HOLD_SECONDS = 0.005
# Not 0: that only runs the greenlets that are ready, and no socket or disk is read.
YIELD_SECONDS = 0.001

T = TypeVar("T")


class _LoopIteration(threading.local):
    """The event loop iteration of this thread's last check, and the time of the first check in it."""

    number = -1
    began = 0.0


_iteration = _LoopIteration()


def get_loop_iteration() -> int:
    """Return the number of the event loop's present iteration: it grows when the loop polls for I/O.

    Not the loop's own time: that also moves whenever a timer is started.
    """
    number: int = gevent.get_hub().loop.iteration
    return number


def yield_if_due() -> None:
    """Let other greenlets and I/O run if work in this iteration of the event loop has lasted 5 ms or longer.

    Time spent blocked does not count, and a caller that has just been resumed does not yield again. Costs 0.2 µs when
    nothing is due.
    """
    if _is_iteration_old():
        gevent.sleep(YIELD_SECONDS)


def yield_until_quiet() -> None:
    """Yield until the present loop iteration has lasted less than 5 ms: for work of low priority."""
    while _is_iteration_old():
        gevent.sleep(YIELD_SECONDS)


def _is_iteration_old() -> bool:
    now, number = perf_counter(), get_loop_iteration()
    if number != _iteration.number:
        _iteration.number, _iteration.began = number, now
    return now - _iteration.began >= HOLD_SECONDS


def throttled(items: Iterable[T]) -> Iterator[T]:
    """Return the items one by one; yield to the event loop between two of them when that is due."""
    for item in items:
        yield item
        yield_if_due()


class InputLimit:
    """Limits the input of one exchange with a foreign peer, in bytes and in items, and yields to the event loop."""

    def __init__(self, max_bytes: int, max_items: int, error: Callable[[], Exception]) -> None:
        """`error` makes the exception that `count` raises beyond either bound."""
        self._bytes_left = max_bytes
        self._items_left = max_items
        self._error = error

    def count_input(self, size: int, items: int = 1) -> None:
        """Count `items` that took `size` bytes, then yield to the event loop if that is due."""
        self._bytes_left -= size
        self._items_left -= items
        if self._bytes_left < 0 or self._items_left < 0:
            raise self._error()
        yield_if_due()
