"""Write-behind of readings: to disk every PERSIST_INTERVAL and at shutdown. Rare, because miners report them again and
SD cards wear out."""

from __future__ import annotations

import logging
from collections.abc import Callable

import gevent
from gevent.event import Event

from app.clock import Clock
from app.errors import StoreError
from app.services.devices.fleet import Fleet
from app.store.stores import Stores
from app.supervision import run_supervised

log = logging.getLogger(__name__)

RETRY_SECONDS = 10.0


class WriteBehind:
    """Every 10 s, retries a store that could not be written; readings are flushed as soon as it can."""

    def __init__(
        self,
        fleet: Fleet,
        stores: Stores,
        clock: Clock,
        interval: float,
        crashed: Callable[[], object] = lambda: None,
    ) -> None:
        self._crashed = crashed
        self._fleet = fleet
        self._stores = stores
        self._behind = False
        self._clock = clock
        self._interval = interval
        self._stop = Event()
        self._greenlet: gevent.Greenlet | None = None

    def start(self) -> None:
        self._greenlet = gevent.spawn(
            run_supervised, self._run, self._clock, self._stop, self._crashed, loop="write_behind"
        )

    def stop(self) -> None:
        """Return when the last readings are written."""
        self._stop.set()
        if self._greenlet is not None:
            self._greenlet.join()
            self._greenlet = None
            self._flush_readings()

    def _run(self) -> None:
        due = self._clock.monotonic() + self._interval
        while not self._clock.wait(self._stop, min(RETRY_SECONDS, due - self._clock.monotonic())):
            if self._clock.monotonic() >= due:
                self._behind, due = True, self._clock.monotonic() + self._interval
            if self._stores.retry_writes() and self._behind:
                self._flush_readings()

    def _flush_readings(self) -> None:
        try:
            self._fleet.flush_readings()
            self._behind = False
        except StoreError as error:
            log.warning("readings are not on disk, only in memory", extra={"reason": str(error)})
        except Exception:
            log.exception("readings could not be written; they are kept in memory for the next time")
