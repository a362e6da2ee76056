"""The readings' way to disk: every PERSIST_INTERVAL, and at the end. Rare, because a miner tells them again and SD
cards wear out."""

from __future__ import annotations

import logging

import gevent
from gevent.event import Event

from app.clock import Clock
from app.services.fleet import Fleet

log = logging.getLogger(__name__)


class WriteBehind:
    def __init__(self, fleet: Fleet, clock: Clock, interval: float) -> None:
        self._fleet = fleet
        self._clock = clock
        self._interval = interval
        self._stop = Event()
        self._greenlet: gevent.Greenlet | None = None

    def start(self) -> None:
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Returns when the last readings are written."""
        self._stop.set()
        if self._greenlet is not None:
            self._greenlet.join()
            self._greenlet = None
            self._flush()

    def _run(self) -> None:
        while not self._clock.wait(self._stop, self._interval):
            self._flush()

    def _flush(self) -> None:
        try:
            self._fleet.flush()
        except Exception:
            log.exception("readings could not be written; they are kept in memory for the next time")
