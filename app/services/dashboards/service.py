"""Keeps Grafana's dashboards as they should be, in a greenlet of its own: a dead, slow or lying Grafana delays
nobody."""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import gevent
from gevent.event import Event

from app.clock import Clock
from app.errors import DashboardUnsettled, GrafanaError, StoreError
from app.events import DeviceDeleted, DeviceObserved
from app.services.dashboards.boards import OVERVIEW_NAME, OVERVIEW_UID, Board, device_uid, new_board
from app.services.dashboards.due_queue import Agenda
from app.services.dashboards.publisher import Publisher
from app.services.dashboards.records import Boards
from app.services.dashboards.retry import SLOWEST_SECONDS, Circuit
from app.services.health import Health

log = logging.getLogger(__name__)

# A file is read within 10 s; a dashboard that is still missing at the sixth look, half a minute later, is worth a line.
PATIENCE = 6
STOP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A miner answered, for the first time or under a new hostname."""

    mac: str
    hostname: str


class Dashboards:
    """Owns when which board is attended to. What should be is what the fleet's events say; what is, `Boards` knows.

    A board is made when its device is first seen online, and looked after every 5 minutes or so from then on: what was
    deleted, unpublished or paused in Grafana, or lost with its database, is there again under the same link. It is
    taken away with its device when `delete_with_device`.
    """

    def __init__(
        self,
        boards: Boards,
        publisher: Publisher,
        imprinted: Callable[[str], bool],
        health: Health,
        clock: Clock,
        chance: Callable[[], float] = random.random,
        *,
        delete_with_device: bool,
    ) -> None:
        self._boards = boards
        self._publisher = publisher
        self._imprinted = imprinted
        self._health = health
        self._clock = clock
        self._chance = chance
        self._delete_with_device = delete_with_device
        self._circuit = Circuit()
        self._changes: deque[Seen | DeviceDeleted] = deque()
        self._hostnames: dict[str, str] = {}
        self._agenda = Agenda(chance)
        self._unprepared: set[str] = set()
        self._wake = Event()
        self._stopping = False
        self._greenlet: gevent.Greenlet | None = None
        health.watch_grafana(lambda: self.available)

    @property
    def available(self) -> bool:
        """Whether the last call went well; True before the first."""
        return self._circuit.error is None

    def published(self) -> list[Board]:
        """The boards with a public link, as last seen; the overview first. Asks nobody."""
        public = [board for board in self._boards if board.is_public and not board.gone]
        return sorted(public, key=lambda board: (board.uid != OVERVIEW_UID, board.name, board.uid))

    def start(self) -> None:
        """Reads what is known; the rest happens in the greenlet."""
        self._boards.load()
        self._hostnames = {board.mac: board.name for board in self._boards if board.mac and not board.gone}
        for mac in self._hostnames.keys() if self._delete_with_device else ():
            if not self._imprinted(mac):  # it was deleted while nobody looked
                self._tell(DeviceDeleted(mac))
        if self._boards.get(OVERVIEW_UID) is None:
            self._boards.put(new_board(OVERVIEW_NAME))
        self._unprepared = {board.uid for board in self._boards}
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Nothing is asked of Grafana or written after this."""
        self._stopping = True
        self._wake.set()
        if self._greenlet is not None:
            self._greenlet.join(STOP_SECONDS)
            self._greenlet.kill()
            self._greenlet = None
        self._publisher.close()

    def on_device_observed(self, event: DeviceObserved) -> None:
        """In the poll's greenlet: two dictionary look-ups, unless there is news."""
        mac, hostname = event.tracked.mac, event.tracked.hostname
        if self._hostnames.get(mac) != hostname:
            self._hostnames[mac] = hostname
            self._tell(Seen(mac, hostname))

    def on_device_deleted(self, event: DeviceDeleted) -> None:
        if self._delete_with_device:
            self._hostnames.pop(event.mac, None)
            self._tell(event)

    def _tell(self, change: Seen | DeviceDeleted) -> None:
        self._changes.append(change)
        self._wake.set()

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping:
            self._clock.wait(self._wake, pause)
            self._wake.clear()
            pause = 0.0 if self._stopping else self._step()

    def _step(self) -> float:
        try:
            return self._turn()
        except StoreError as error:
            log.warning("the dashboards wait for the disk", extra={"reason": str(error)})
            return SLOWEST_SECONDS
        except Exception:
            log.exception("the dashboards met an unexpected error")
            return SLOWEST_SECONDS

    def _turn(self) -> float:
        """Takes what happened, then attends to one board; returns the seconds until there is something to do again."""
        self._take_changes()
        now = self._clock.monotonic()
        if (closed := self._circuit.wait(now)) > 0:
            return closed
        uid, due = self._agenda.next()
        if due <= now:
            self._attend(uid)
        return max(0.0, due - now)

    def _take_changes(self) -> None:
        """A hostname that comes or goes may change the titles of others that have it too."""
        if not (self._changes or self._unprepared):
            return
        before = self._boards.titles()
        while self._changes:
            self._take(self._changes[0])
            self._changes.popleft()
        after = self._boards.titles()
        changed = {uid for uid in {*before, *after} if before.get(uid) != after.get(uid)} | self._unprepared
        if changed:
            self._agenda.add(changed, self._clock.monotonic())
            self._unprepared = changed
            self._prepare()

    def _take(self, change: Seen | DeviceDeleted) -> None:
        known = self._boards.get(device_uid(change.mac))
        if isinstance(change, Seen):
            board = known or new_board(change.hostname, change.mac)
            self._boards.put(replace(board, name=change.hostname, gone=False))
        elif known is not None:
            self._boards.put(replace(known, gone=True))

    def _prepare(self) -> None:
        """What can be done without asking Grafana."""
        try:
            self._publisher.prepare(self._unprepared)
            self._unprepared = set()
        except GrafanaError as error:
            self._failed(error)

    def _attend(self, uid: str) -> None:
        try:
            self._bring_about(uid)
        except DashboardUnsettled as error:
            self._answered()
            if self._agenda.unsettled(uid, self._clock.monotonic()) == PATIENCE:
                log.warning("a dashboard is not as it should be", extra={"uid": uid, "error": str(error)})
        except GrafanaError as error:
            self._failed(error)
        except Exception:
            self._agenda.settled(uid, self._clock.monotonic())  # the others are not to wait for it
            raise

    def _bring_about(self, uid: str) -> None:
        board = self._boards.get(uid)
        if board is None or board.gone:
            self._publisher.withdraw(uid)
            self._agenda.drop(uid)
        else:
            self._publisher.settle(uid, self._boards.titles()[uid])
            self._answered()
            self._agenda.settled(uid, self._clock.monotonic())

    def _failed(self, error: GrafanaError) -> None:
        self._health.grafana_failed(error.reason)
        if self._circuit.failed(error, self._clock.monotonic(), self._chance()):
            log.warning("Grafana fails", extra={"reason": error.reason, "error": str(error)})

    def _answered(self) -> None:
        """Whoever was down may have lost its database meanwhile."""
        if self._circuit.succeeded():
            log.info("Grafana is back")
            self._agenda.add_all(self._clock.monotonic())
