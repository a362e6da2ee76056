"""Loops that are to run until they are stopped: what ends one unexpectedly is said, counted, and does not end it for
good."""

from __future__ import annotations

import logging
from collections.abc import Callable

import gevent
from gevent.event import Event

from app.backoff import Backoff
from app.clock import Clock

log = logging.getLogger(__name__)

RESTART = Backoff(first=1.0, longest=60.0)
# What ends a greenlet on purpose. Everything else counts as a crash, gevent.Timeout included, which is no Exception.
_ENDS = (gevent.GreenletExit, KeyboardInterrupt, SystemExit)


def keep_running(
    run: Callable[[], None],
    clock: Clock,
    stop: Event,
    crashed: Callable[[], object] = lambda: None,
    **where: object,
) -> None:
    """Calls `run` until it returns or `stop` is set. After a crash, which `crashed` is told and which the log shows
    with `where`, it begins again: a second later, twice as late at each further one, at most a minute; after a minute
    without one it counts from the beginning."""
    crashes = 0
    while not stop.is_set():
        began = clock.monotonic()
        try:
            run()
            return
        except _ENDS:
            raise
        except BaseException:
            log.exception("a loop crashed and will begin again", extra=where)
            crashed()
        crashes = 1 if clock.monotonic() - began >= RESTART.longest else crashes + 1
        clock.wait(stop, RESTART.delay_after(crashes))
