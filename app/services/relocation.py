"""Miners that are not where their record says: noticed, looked for, and followed. DHCP moves cost seconds, not a
device."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network

import gevent
from gevent.event import Event

from app.clock import Clock
from app.errors import DeviceNotFound, PlutoError
from app.events import DeviceObserved, EventBus, MinerMissing, MinerSeen
from app.miners.address import Address
from app.models import Status
from app.services.fleet import Fleet, Tracked
from app.services.monitoring import Monitoring
from app.supervision import keep_running

log = logging.getLogger(__name__)

# Seconds before each further search for the same device. Rare in the end: a miner that is off would otherwise have its
# neighbours asked for ever.
SEARCH_AFTER = (60.0, 120.0, 300.0, 900.0, 3600.0)
SCAN_EVERY_SECONDS = 60.0
SAME_SCAN_SECONDS = 5.0


@dataclass(slots=True)
class Search:
    """A device that is looked for: how often so far, and when next."""

    attempts: int
    due: float


class Relocation:
    """Owns the list of devices that are looked for. It only believes a miner that says it is the device."""

    def __init__(
        self,
        fleet: Fleet,
        monitoring: Monitoring,
        locate: Callable[[str, IPv4Network | None], Address | None],
        subnet_of: Callable[[Address], IPv4Network],
        events: EventBus,
        clock: Clock,
        crashed: Callable[[], object] = lambda: None,
    ) -> None:
        self._crashed = crashed
        self._fleet = fleet
        self._monitoring = monitoring
        self._locate = locate
        self._subnet_of = subnet_of
        self._clock = clock
        self._searches: dict[str, Search] = {}
        self._scanned: dict[IPv4Network, float] = {}
        self._claimed: dict[str, float] = {}
        self._wake = Event()
        self._stop = Event()
        self._greenlet: gevent.Greenlet | None = None
        events.subscribe(MinerSeen, self._seen)
        events.subscribe(MinerMissing, self._missing)
        events.subscribe(DeviceObserved, self._found)

    def start(self) -> None:
        self._greenlet = gevent.spawn(
            keep_running, self._run, self._clock, self._stop, self._crashed, loop="relocation"
        )

    def stop(self) -> None:
        self._stop.set()
        self._wake.set()
        if self._greenlet is not None:
            self._greenlet.kill()

    def _missing(self, event: MinerMissing) -> None:
        if event.mac not in self._searches:
            self._searches[event.mac] = Search(0, self._clock.monotonic())
            self._wake.set()

    def _found(self, event: DeviceObserved) -> None:
        self._searches.pop(event.tracked.mac, None)

    def _seen(self, event: MinerSeen) -> None:
        """A miner said who it is, somewhere. Where its device answers at another address too, two claim one MAC."""
        tracked = self._fleet.find(event.mac)
        if tracked is None:
            return
        address = Address.parse(event.address)
        if address == tracked.address:
            self._seen_at_home(tracked)
        elif tracked.observation.status is Status.ONLINE:
            self._claimed[tracked.mac] = self._clock.monotonic()
            self._fleet.set_conflict(tracked, f"{address} also claims to be {tracked.mac}")
            self._monitoring.poll_now(tracked.mac)
        else:
            self._follow(tracked, address)

    def _seen_at_home(self, tracked: Tracked) -> None:
        claimed = self._claimed.get(tracked.mac)
        if claimed is not None and self._clock.monotonic() - claimed > SAME_SCAN_SECONDS:
            del self._claimed[tracked.mac]
            self._fleet.set_conflict(tracked, None)
        if not tracked.up:
            self._monitoring.poll_soon(tracked.mac)

    def _follow(self, tracked: Tracked, address: Address) -> None:
        before = tracked.device.ip
        try:
            self._fleet.move(tracked.mac, str(address))
        except DeviceNotFound:
            return  # deleted while its move was being written
        log.info("miner moved", extra={"mac": tracked.mac, "from": before, "to": str(address)})
        self._claimed.pop(tracked.mac, None)
        self._fleet.set_conflict(tracked, None)
        self._monitoring.poll_soon(tracked.mac)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._search()
            self._clock.wait(self._wake, self._until_due())
            self._wake.clear()

    def _until_due(self) -> float:
        now = self._clock.monotonic()
        return max(1.0, min((search.due - now for search in self._searches.values()), default=SEARCH_AFTER[-1]))

    def _search(self) -> None:
        """First where somebody remembers the miner, which asks it alone; then one scan of each subnet in which one is
        missing."""
        now = self._clock.monotonic()
        due = [mac for mac, search in self._searches.items() if search.due <= now]
        for mac in due:
            self._look(mac, None)
        for mac in due:
            if tracked := self._still_lost(mac):
                self._scan_for(tracked)
        for mac in due:
            self._put_off(mac)

    def _still_lost(self, mac: str) -> Tracked | None:
        """None, and no longer looked for, when it was deleted or un-listened; None when it was found."""
        tracked = self._fleet.find(mac)
        if tracked is None or not tracked.monitored:
            self._searches.pop(mac, None)
            return None
        return tracked if mac in self._searches else None

    def _scan_for(self, tracked: Tracked) -> None:
        subnet = self._subnet_of(tracked.address)
        if self._clock.monotonic() - self._scanned.get(subnet, -SCAN_EVERY_SECONDS) >= SCAN_EVERY_SECONDS:
            self._scanned[subnet] = self._clock.monotonic()
            self._look(tracked.mac, subnet)

    def _look(self, mac: str, subnet: IPv4Network | None) -> None:
        """What is found comes back as MinerSeen, for every miner that was met on the way."""
        try:
            self._locate(mac, subnet)
        except PlutoError as error:
            log.warning("a lost miner could not be looked for", extra={"mac": mac, "error": str(error)})

    def _put_off(self, mac: str) -> None:
        if search := self._searches.get(mac):
            search.due = self._clock.monotonic() + SEARCH_AFTER[min(search.attempts, len(SEARCH_AFTER) - 1)]
            search.attempts += 1
