"""Relocation of devices that are no longer at the address of their record. Nothing else moves a record automatically.

A sighting from any source is only a hint: this loop probes the new address and then the old one before it moves
the record.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import TypeVar

import gevent
from gevent.event import Event
from gevent.pool import Pool

from app.clock import Clock
from app.errors import DeviceNotFound, PlutoError
from app.events import DeviceEdited, DeviceObserved, EventBus, MinerMissing, MinerSeen
from app.miners.address import Address, parse_stored_address
from app.miners.identity import OldAddress, SightingDecision, decide_sighting, has_reported_mac
from app.services.devices.conflicts import REVIEW_SECONDS, Conflicts
from app.services.devices.fleet import Fleet, Tracked
from app.services.devices.identity import DeviceIdentity
from app.services.devices.monitoring import Monitoring
from app.supervision import run_supervised

log = logging.getLogger(__name__)

T = TypeVar("T")

# Backoff: seconds before each further search for the same device. A miner that is switched off must not cause endless
# scans of its network.
SEARCH_AFTER = (60.0, 120.0, 300.0, 900.0, 3600.0)
SCAN_EVERY_SECONDS = 60.0
# A network of this size is scanned at most once per minute, a larger one proportionally less often.
SCAN_ADDRESSES = 1024
MAX_SIGHTINGS = 8
MAX_PARALLEL_CHECKS = 32


@dataclass(slots=True)
class DeviceSearch:
    """A search for a missing device: the attempts so far, and when the next one is due."""

    attempts: int
    due: float


class Relocation:
    """Owns the searches and the sightings that are not checked yet.

    `locate` probes likely addresses of a device, then scans the given networks; every miner found is published as
    MinerSeen. `subnets_for` returns the networks in which a miner that left an address is searched.
    """

    def __init__(
        self,
        fleet: Fleet,
        monitoring: Monitoring,
        conflicts: Conflicts,
        identity: DeviceIdentity,
        locate: Callable[[str, Sequence[IPv4Network]], Address | None],
        subnets_for: Callable[[Address], Sequence[IPv4Network]],
        events: EventBus,
        clock: Clock,
        crashed: Callable[[], object] = lambda: None,
    ) -> None:
        self._crashed = crashed
        self._fleet = fleet
        self._monitoring = monitoring
        self._conflicts = conflicts
        self._identity = identity
        self._locate = locate
        self._subnets_for = subnets_for
        self._events = events
        self._clock = clock
        self._searches: dict[str, DeviceSearch] = {}
        self._sightings: dict[str, dict[Address, None]] = {}
        self._postponed: dict[str, Address] = {}
        self._scanned: dict[IPv4Network, float] = {}
        self._reviewed = clock.monotonic()
        self._wake = Event()
        self._stop = Event()
        self._greenlet: gevent.Greenlet | None = None

    def start(self) -> None:
        self._greenlet = gevent.spawn(
            run_supervised, self._run, self._clock, self._stop, self._crashed, loop="relocation"
        )

    def stop(self) -> None:
        self._stop.set()
        self._wake.set()
        if self._greenlet is not None:
            self._greenlet.kill()

    def on_miner_seen(self, event: MinerSeen) -> None:
        """Queue a hint; it is checked in the loop, never in the caller's greenlet."""
        tracked = self._fleet.find_device(event.mac)
        if tracked is None:
            return
        address = parse_stored_address(event.address)
        if address == tracked.address:
            if not tracked.is_up:
                self._monitoring.poll_soon(tracked.mac)
        else:
            self._queue_sighting(tracked.mac, address)

    def on_miner_missing(self, event: MinerMissing) -> None:
        self._requeue_sighting(event.mac)
        if event.mac not in self._searches:
            self._searches[event.mac] = DeviceSearch(0, self._clock.monotonic())
            self._wake.set()

    def on_device_observed(self, event: DeviceObserved) -> None:
        self._searches.pop(event.tracked.mac, None)
        self._requeue_sighting(event.tracked.mac)

    def _requeue_sighting(self, mac: str) -> None:
        if address := self._postponed.pop(mac, None):
            self._queue_sighting(mac, address)

    def _queue_sighting(self, mac: str, address: Address) -> None:
        noted = self._sightings.setdefault(mac, {})
        if len(noted) < MAX_SIGHTINGS:
            noted[address] = None
            self._wake.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._check_sightings()
            self._review_claims()
            self._search_missing()
            self._clock.wait(self._wake, self._seconds_until_due())
            self._wake.clear()

    def _seconds_until_due(self) -> float:
        now = self._clock.monotonic()
        reviews = [self._reviewed + REVIEW_SECONDS] if self._conflicts.claimed_macs() else []
        due = [*(search.due for search in self._searches.values()), *reviews]
        return max(1.0, min((moment - now for moment in due), default=SEARCH_AFTER[-1]))

    # Sightings

    def _check_sightings(self) -> None:
        sightings, self._sightings = self._sightings, {}
        _run_in_parallel(self._check_addresses, sightings.items())

    def _check_addresses(self, sighting: tuple[str, Mapping[Address, None]]) -> None:
        mac, addresses = sighting
        for address in addresses:
            if tracked := self._fleet.find_device(mac):
                self._check_sighting(tracked, address)

    def _check_sighting(self, tracked: Tracked, address: Address) -> None:
        """Probe the new address before the old one, so that a miner that moves in between is not taken for two."""
        before = tracked.address
        if address == before or address in self._conflicts.claimed_addresses(tracked.mac):
            return
        source = self._identity.find_mac_source(tracked, address)
        if source is None:
            return
        old_address = self._identity.probe_old_address(tracked)
        if self._fleet.find_device(tracked.mac) is not tracked or tracked.address != before:
            return  # deleted or moved by a person meanwhile
        verdict = decide_sighting(
            source,
            old_address,
            tracked.observation.status,
            is_restarting=self._is_restarting(tracked),
            is_claimed=bool(self._conflicts.claimed_addresses(tracked.mac)),
            reports_mac=has_reported_mac(tracked.info),
        )
        log.debug(
            "sighting checked",
            extra={"mac": tracked.mac, "address": str(address), "old_address": old_address, "outcome": verdict},
        )
        if verdict is SightingDecision.MOVE:
            self._move_device(tracked, address)
        elif verdict is SightingDecision.CONFLICT:
            self._conflicts.add_mac_claim(tracked, address)
            self._monitoring.poll_now(tracked.mac)
        elif verdict is SightingDecision.WAIT:
            self._postponed[tracked.mac] = address

    def _is_restarting(self, tracked: Tracked) -> bool:
        return self._clock.monotonic() < tracked.restarting_until

    def _move_device(self, tracked: Tracked, address: Address) -> None:
        before = tracked.device
        try:
            self._fleet.move_device(tracked.mac, str(address))
        except DeviceNotFound:
            return  # deleted while its move was being written
        log.info("miner moved", extra={"mac": tracked.mac, "from": before.ip, "to": str(address)})
        self._events.publish(DeviceEdited(tracked, before))
        self._searches.pop(tracked.mac, None)
        self._conflicts.end_address_conflict(tracked)
        self._monitoring.poll_soon(tracked.mac)

    # Conflicts

    def _review_claims(self) -> None:
        if self._clock.monotonic() - self._reviewed < REVIEW_SECONDS:
            return
        self._reviewed = self._clock.monotonic()
        _run_in_parallel(self._review_claim, filter(None, map(self._fleet.find_device, self._conflicts.claimed_macs())))

    def _review_claim(self, tracked: Tracked) -> None:
        others = [each for each in self._conflicts.claimed_addresses(tracked.mac) if each != tracked.address]
        is_alone = not any(self._identity.find_mac_source(tracked, each) for each in others)
        is_home = self._identity.probe_old_address(tracked) is OldAddress.DEVICE
        self._conflicts.review_mac_claim(tracked, is_alone=is_alone and is_home)

    # Searches

    def _search_missing(self) -> None:
        """Probe the likely addresses first, which contacts only the miner itself; then scan the networks of those still
        missing."""
        now = self._clock.monotonic()
        due = [mac for mac, search in self._searches.items() if search.due <= now]
        for mac in due:
            self._locate_device(mac)
        self._check_sightings()
        if lost := [tracked for mac in due if (tracked := self._find_if_missing(mac))]:
            self._scan_networks(lost)
        for mac in due:
            self._schedule_next_search(mac)

    def _find_if_missing(self, mac: str) -> Tracked | None:
        """Return the device if it is still missing; end the search if it was deleted or is no longer monitored."""
        tracked = self._fleet.find_device(mac)
        if tracked is None or not tracked.monitored:
            self._searches.pop(mac, None)
            return None
        return tracked if mac in self._searches else None

    def _scan_networks(self, lost: Sequence[Tracked]) -> None:
        """Scan every network in which one of them may be and that was not scanned recently, all in one scan."""
        now = self._clock.monotonic()
        self._scanned = {subnet: until for subnet, until in self._scanned.items() if until > now}
        wanted = dict.fromkeys(subnet for tracked in lost for subnet in self._subnets_for(tracked.address))
        if due := [subnet for subnet in wanted if subnet not in self._scanned]:
            self._scanned |= {
                subnet: now + SCAN_EVERY_SECONDS * max(1.0, subnet.num_addresses / SCAN_ADDRESSES) for subnet in due
            }
            self._locate_device(lost[0].mac, due)

    def _locate_device(self, mac: str, subnets: Sequence[IPv4Network] = ()) -> None:
        try:
            self._locate(mac, subnets)
        except PlutoError as error:
            log.warning("a lost miner could not be looked for", extra={"mac": mac, "error": str(error)})

    def _schedule_next_search(self, mac: str) -> None:
        if search := self._searches.get(mac):
            search.due = self._clock.monotonic() + SEARCH_AFTER[min(search.attempts, len(SEARCH_AFTER) - 1)]
            search.attempts += 1


def _run_in_parallel(act: Callable[[T], None], items: Iterable[T]) -> None:
    """Run `act` for all items in parallel: each waits for up to two silent addresses, and after a power cut there are
    hundreds."""
    pool = Pool(MAX_PARALLEL_CHECKS)
    try:
        pool.map(act, items)
    finally:
        pool.kill()
