"""Supervises loops that run until they are stopped: logs and counts each crash, and restarts the loop with backoff."""

from __future__ import annotations

import logging
from collections.abc import Callable

import gevent
from gevent.event import Event

from app.backoff import Backoff
from app.clock import Clock

log = logging.getLogger(__name__)

RESTART = Backoff(first=1.0, longest=60.0)
# Exceptions that end a greenlet on purpose. Any other is a crash, also gevent.Timeout, a BaseException.
_EXIT_EXCEPTIONS = (gevent.GreenletExit, KeyboardInterrupt, SystemExit)


def run_supervised(
    run: Callable[[], None],
    clock: Clock,
    stop: Event,
    on_crash: Callable[[], object] = lambda: None,
    **where: object,
) -> None:
    """Call `run` until it returns or `stop` is set; restart it after a crash.

    Each crash is logged with the fields `where`, then `crashed` is called. The backoff is 1 s, doubled for each
    further crash up to 60 s, and reset after 60 s without one.
    """
    crashes = 0
    while not stop.is_set():
        began = clock.monotonic()
        try:
            run()
            return
        except _EXIT_EXCEPTIONS:
            raise
        except BaseException:
            log.exception("loop crashed and will restart", extra=where)
            on_crash()
        crashes = 1 if clock.monotonic() - began >= RESTART.longest else crashes + 1
        clock.wait(stop, RESTART.delay_after(crashes))
