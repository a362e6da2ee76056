"""Long answers in pieces, so that polls are read while one is put together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import gevent

# Not 0: that lets only those run who are ready, and no answer of a miner or a disk is read.
YIELD_SECONDS = 0.001

T = TypeVar("T")


def paced(pieces: Iterable[T], at_once: int) -> Iterator[T]:
    """The pieces; after each `at_once` of them others run."""
    for count, piece in enumerate(pieces, 1):
        yield piece
        if count % at_once == 0:
            gevent.sleep(YIELD_SECONDS)
