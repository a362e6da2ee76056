"""The lag of the event loop. A call that blocks it (in C code, a name lookup, swapping) delays every poll; this
shows it."""

from __future__ import annotations

import logging
from collections.abc import Callable

import gevent
from gevent.event import Event

from app.clock import Clock

log = logging.getLogger(__name__)

EVERY_SECONDS = 1.0
WORTH_A_LINE_SECONDS = 1.0


class LoopLag:
    """Calls `observe` once per second with the lag of a timer, in seconds. It uses the machine's clock, not the
    service's."""

    def __init__(self, observe: Callable[[float], None], clock: Clock) -> None:
        self._observe = observe
        self._clock = clock
        self._stop = Event()
        self._late = False
        self._greenlet: gevent.Greenlet | None = None

    def start(self) -> None:
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        self._stop.set()
        if self._greenlet is not None:
            self._greenlet.join()

    def _run(self) -> None:
        due = self._clock.monotonic() + EVERY_SECONDS
        while not self._clock.wait(self._stop, due - self._clock.monotonic()):
            now = self._clock.monotonic()
            self._record_lag(max(0.0, now - due))
            due = now + EVERY_SECONDS

    def _record_lag(self, lag: float) -> None:
        """Log one line when the lag begins, not at each repetition."""
        self._observe(lag)
        late, self._late = self._late, lag > WORTH_A_LINE_SECONDS
        if self._late and not late:
            log.warning("event loop was blocked, which delays every poll", extra={"seconds": round(lag, 3)})
