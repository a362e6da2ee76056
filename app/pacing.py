"""Long answers in pieces, so that polls are read while one is put together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import TypeVar

import gevent

# By time, not by count: pieces differ, and so do machines.
HOLD_SECONDS = 0.005
# Not 0: that lets only those run who are ready, and no answer of a miner or a disk is read.
YIELD_SECONDS = 0.001

T = TypeVar("T")


def paced(pieces: Iterable[T]) -> Iterator[T]:
    """The pieces; whenever they, and what is done with them, have held the loop for 5 ms, others run."""
    since = perf_counter()
    for piece in pieces:
        yield piece
        if perf_counter() - since >= HOLD_SECONDS:
            gevent.sleep(YIELD_SECONDS)
            since = perf_counter()
