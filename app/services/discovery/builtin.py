"""Built-in discovery: network scans, mDNS announcements, and the miners that both have seen."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from ipaddress import IPv4Network

from app.clock import Clock
from app.errors import StoreError
from app.miners.address import UNUSABLE_ADDRESS, Address, AddressRule, parse_stored_address
from app.models import DiscoveredMiner, RunningScan
from app.services.discovery.filters import DiscoveryQuery, matches_query
from app.services.discovery.mdns import MdnsBrowser
from app.services.discovery.scanner import Scanner
from app.services.discovery.sightings import Sightings
from app.store.discovered import DiscoveredRepository

log = logging.getLogger(__name__)

ANNOUNCED_AGAIN_SECONDS = 30.0
MAX_ANNOUNCED = 1024


class BuiltinDiscovery:
    """Owns the mDNS browser and stops the scanner.

    `subnets` is called at each scan, since the host's networks may change. `ttl`: seconds until a miner that was not
    seen again is forgotten. `browse` creates the browser for a callback; None: no mDNS.
    """

    def __init__(
        self,
        scanner: Scanner,
        sightings: Sightings,
        repository: DiscoveredRepository,
        rule: AddressRule,
        clock: Clock,
        subnets: Callable[[], Sequence[IPv4Network]],
        ports: Sequence[int],
        ttl: float,
        browse: Callable[[Callable[[Address], None]], MdnsBrowser] | None = None,
    ) -> None:
        self._scanner = scanner
        self._sightings = sightings
        self._repository = repository
        self._rule = rule
        self._clock = clock
        self._subnets = subnets
        self._ports = tuple(ports)
        self._ttl = timedelta(seconds=ttl)
        self._mdns = browse(self.on_announcement) if browse else None
        self._announced: dict[Address, float] = {}
        self._began = clock.now(), clock.monotonic()

    @property
    def seen_count(self) -> int:
        return self._repository.entry_count

    def discover_miners(self, address: Address | None, mac: str | None) -> list[DiscoveredMiner]:
        """Probe one address, or scan all subnets and filter by `mac`."""
        if address is not None:
            return self._sightings.record_hits(self._scanner.probe_addresses([address]), mac)
        subnets = tuple(self._subnets())
        if not subnets:
            log.warning("this host is on no private network, there is nothing to scan: set DISCOVERY_SUBNETS")
        found = self._sightings.record_hits(self._scanner.scan_subnets(subnets, self._ports))
        return [each for each in found if mac in (None, each.mac)]

    def has_targets(self) -> bool:
        return bool(self._subnets())

    def scan_progress(self) -> RunningScan | None:
        progress = self._scanner.find_progress(self._subnets(), self._ports)
        if progress is None:
            return None
        found = self._sightings.preview_hits(sorted(progress.hits, key=lambda hit: hit[0]))
        return RunningScan(progress.outcomes["finished"], progress.total, found)

    def list_seen(self, query: DiscoveryQuery) -> list[DiscoveredMiner]:
        """Return the entries within the TTL. Older ones are deleted at the next start, not here: this serves a GET."""
        return [
            found for found in self._repository.list_seen_since(self._oldest_shown()) if matches_query(found, query)
        ]

    def _oldest_shown(self) -> datetime:
        """Return the present less the TTL. The present is at most the start plus the time elapsed since, so that a
        clock that is set ahead while the service runs hides no miner."""
        day, seconds = self._began
        return min(self._clock.now(), day + timedelta(seconds=self._clock.monotonic() - seconds)) - self._ttl

    def _delete_expired(self) -> None:
        """Delete entries older than the TTL, unless all of them are: a clock that is years ahead at the start, and
        soon corrected, must not cost any record."""
        if self._repository.list_seen_since(self._oldest_shown()):
            with suppress(StoreError):
                self._repository.delete_expired(self._oldest_shown())

    def find_by_macs(self, macs: Sequence[str]) -> list[DiscoveredMiner]:
        seen = {found.mac: found for found in self._repository.list_seen_since(self._oldest_shown())}
        return [found for mac in macs if (found := seen.get(mac) or self._sightings.find_given(mac))]

    def known_addresses(self, mac: str) -> list[Address]:
        found = self._repository.get_entry(mac)
        address = parse_stored_address(found.ip) if found else UNUSABLE_ADDRESS
        return [address] if address != UNUSABLE_ADDRESS else []

    def forget_miner(self, mac: str) -> None:
        self._repository.delete_entry(mac)

    def on_announcement(self, address: Address) -> None:
        """Probe a miner that announces itself, but not at each repetition. Raises AddressForbidden."""
        self._rule.check_requested_address(address)
        now = self._clock.monotonic()
        if now - self._announced.get(address, -math.inf) < ANNOUNCED_AGAIN_SECONDS:
            return
        if len(self._announced) >= MAX_ANNOUNCED:
            self._announced.clear()
        self._announced[address] = now
        self._sightings.record_hits(self._scanner.probe_addresses([address]))

    def start(self) -> None:
        """Load the stored entries (the database is open by then) and listen for announcements. No scan is started."""
        self._repository.load_entries()
        self._delete_expired()
        if self._mdns:
            self._mdns.start()

    def stop(self) -> None:
        if self._mdns:
            self._mdns.stop()
        self._scanner.stop()
