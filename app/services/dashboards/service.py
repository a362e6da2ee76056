"""Schedules the updates of Grafana's dashboards, in a separate greenlet: a failing Grafana delays nothing else."""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import gevent
from gevent.event import Event

from app.clock import Clock
from app.errors import DashboardNotReady, GrafanaError, StoreError
from app.events import DeviceDeleted, DeviceObserved
from app.services.dashboards.board_repository import BoardRepository
from app.services.dashboards.boards import OVERVIEW_NAME, OVERVIEW_UID, Board, device_board_uid, new_board
from app.services.dashboards.circuit_breaker import MAX_BACKOFF_SECONDS, CircuitBreaker
from app.services.dashboards.due_queue import BoardDueQueue
from app.services.dashboards.publisher import Publisher
from app.services.service_metrics import ServiceMetrics

log = logging.getLogger(__name__)

# Grafana reads a file within 10 s. A dashboard still missing at the sixth check, half a minute later, is logged.
WARN_AFTER = 6
STOP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class HostnameSeen:
    """A miner responded for the first time or with a new hostname."""

    mac: str
    hostname: str


class DashboardService:
    """Owns the schedule of board updates. The fleet's events define the desired boards.

    A board is created when its device is first seen online, and checked about every 5 minutes: a dashboard that was
    deleted, unpublished or paused in Grafana, or lost with Grafana's database, is restored with the same link. It is
    deleted with its device if `delete_with_device`.
    """

    def __init__(
        self,
        boards: BoardRepository,
        publisher: Publisher,
        is_registered: Callable[[str], bool],
        service_metrics: ServiceMetrics,
        clock: Clock,
        rng: Callable[[], float] = random.random,
        *,
        delete_with_device: bool,
    ) -> None:
        self._boards = boards
        self._publisher = publisher
        self._is_registered = is_registered
        self._service_metrics = service_metrics
        self._clock = clock
        self._rng = rng
        self._delete_with_device = delete_with_device
        self._circuit = CircuitBreaker()
        self._changes: deque[HostnameSeen | DeviceDeleted] = deque()
        self._hostnames: dict[str, str] = {}
        self._due_queue = BoardDueQueue(rng)
        self._unprepared: set[str] = set()
        self._wake = Event()
        self._is_stopping = False
        self._greenlet: gevent.Greenlet | None = None
        service_metrics.register_grafana(lambda: self.is_available)

    @property
    def is_available(self) -> bool:
        """True if the last call to Grafana succeeded, or none was made yet."""
        return self._circuit.error is None

    def list_published(self) -> list[Board]:
        """Return the boards with a public link, the overview first, without a call to Grafana."""
        public = [board for board in self._boards if board.is_public and not board.gone]
        return sorted(public, key=lambda board: (board.uid != OVERVIEW_UID, board.name, board.uid))

    def start(self) -> None:
        """Load the boards and start the greenlet."""
        self._boards.load_boards()
        self._hostnames = {board.mac: board.name for board in self._boards if board.mac and not board.gone}
        for mac in self._hostnames.keys() if self._delete_with_device else ():
            if not self._is_registered(mac):  # deleted while the service was stopping or stopped
                self._queue_change(DeviceDeleted(mac))
        if self._boards.get_board(OVERVIEW_UID) is None:
            self._boards.save_board(new_board(OVERVIEW_NAME))
        self._unprepared = {board.uid for board in self._boards}
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Stop the greenlet. No call to Grafana and no write happens after this returns."""
        self._is_stopping = True
        self._wake.set()
        if self._greenlet is not None:
            self._greenlet.join(STOP_SECONDS)
            self._greenlet.kill()
            self._greenlet = None
        self._publisher.close()

    def on_device_observed(self, event: DeviceObserved) -> None:
        """Queue a change of hostname. Runs in the poll's greenlet; costs two dictionary look-ups without a change."""
        mac, hostname = event.tracked.mac, event.tracked.hostname
        if self._hostnames.get(mac) != hostname:
            self._hostnames[mac] = hostname
            self._queue_change(HostnameSeen(mac, hostname))

    def on_device_deleted(self, event: DeviceDeleted) -> None:
        if self._delete_with_device:
            self._hostnames.pop(event.mac, None)
            self._queue_change(event)

    def _queue_change(self, change: HostnameSeen | DeviceDeleted) -> None:
        self._changes.append(change)
        self._wake.set()

    def _run(self) -> None:
        delay = 0.0
        while not self._is_stopping:
            self._clock.wait(self._wake, delay)
            self._wake.clear()
            delay = 0.0 if self._is_stopping else self._run_logged()

    def _run_logged(self) -> float:
        try:
            return self._run_once()
        except StoreError as error:
            log.warning("dashboard update postponed: the store cannot be written", extra={"reason": str(error)})
            return MAX_BACKOFF_SECONDS
        except Exception:
            log.exception("unhandled exception in the dashboard update")
            return MAX_BACKOFF_SECONDS

    def _run_once(self) -> float:
        """Apply queued changes, then update one board if it is due. Return the seconds until the next run."""
        self._apply_changes()
        now = self._clock.monotonic()
        if (delay := self._circuit.seconds_until_retry(now)) > 0:
            return delay
        uid, due = self._due_queue.peek_first()
        if due <= now:
            self._check_board(uid)
        return max(0.0, due - now)

    def _apply_changes(self) -> None:
        """Apply queued changes and schedule each board whose title changes.

        A new or removed hostname may change the titles of other boards with the same hostname.
        """
        if not (self._changes or self._unprepared):
            return
        before = self._boards.current_titles()
        while self._changes:
            self._apply_change(self._changes[0])
            self._changes.popleft()
        after = self._boards.current_titles()
        changed = {uid for uid in {*before, *after} if before.get(uid) != after.get(uid)} | self._unprepared
        if changed:
            self._due_queue.schedule_now(changed, self._clock.monotonic())
            self._unprepared = changed
            self._prepare_boards()

    def _apply_change(self, change: HostnameSeen | DeviceDeleted) -> None:
        known = self._boards.get_board(device_board_uid(change.mac))
        if isinstance(change, HostnameSeen):
            board = known or new_board(change.hostname, change.mac)
            self._boards.save_board(replace(board, name=change.hostname, gone=False))
        elif known is not None:
            self._boards.save_board(replace(known, gone=True))

    def _prepare_boards(self) -> None:
        """Deliver the boards for which Grafana's API is not needed."""
        try:
            self._publisher.prepare_boards(self._unprepared)
            self._unprepared = set()
        except GrafanaError as error:
            self._record_failure(error)

    def _check_board(self, uid: str) -> None:
        try:
            self._update_or_delete(uid)
        except DashboardNotReady as error:
            self._record_success()
            if self._due_queue.schedule_retry(uid, self._clock.monotonic()) == WARN_AFTER:
                log.warning("a dashboard is not in its desired state", extra={"uid": uid, "error": str(error)})
        except GrafanaError as error:
            self._record_failure(error)
        except Exception:
            self._due_queue.schedule_recheck(
                uid, self._clock.monotonic()
            )  # otherwise this board would block the others
            raise

    def _update_or_delete(self, uid: str) -> None:
        board = self._boards.get_board(uid)
        if board is None or board.gone:
            self._publisher.delete_board(uid)
            self._due_queue.remove_board(uid)
        else:
            self._publisher.update_board(uid, self._boards.current_titles()[uid])
            self._record_success()
            self._due_queue.schedule_recheck(uid, self._clock.monotonic())

    def _record_failure(self, error: GrafanaError) -> None:
        self._service_metrics.count_grafana_failure(error.reason)
        if self._circuit.record_failure(error, self._clock.monotonic(), self._rng()):
            log.warning("Grafana is unavailable", extra={"reason": error.reason, "error": str(error)})

    def _record_success(self) -> None:
        """Close the circuit; if it was open, check every board: Grafana may have lost its database."""
        if self._circuit.record_success():
            log.info("Grafana is available again")
            self._due_queue.schedule_all_now(self._clock.monotonic())
