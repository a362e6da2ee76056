"""How late the event loop is. Whoever holds it up (a call into C, a look-up of a name that blocks, a machine that
swaps) holds up every miner's poll; here it is seen, whatever it was."""

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
    """A timer that is to come once a second, and how much later it did: told to `note`, in seconds. The time is the
    machine's, whatever time the rest of the service goes by."""

    def __init__(self, note: Callable[[float], None], clock: Clock) -> None:
        self._note = note
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
            self._take(max(0.0, now - due))
            due = now + EVERY_SECONDS

    def _take(self, lag: float) -> None:
        """One line when it begins to be late, not at each repetition."""
        self._note(lag)
        late, self._late = self._late, lag > WORTH_A_LINE_SECONDS
        if self._late and not late:
            log.warning("the event loop was held up, and every poll with it", extra={"seconds": round(lag, 3)})
