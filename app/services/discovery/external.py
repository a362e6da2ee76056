"""Discovery by the Node stack's discovery service, where one is configured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from app.clients.discovery_service import DiscoveryServiceClient
from app.errors import DiscoveryFailed
from app.miners.address import Address
from app.models import DiscoveredMiner, MacSource, RunningScan
from app.services.discovery.filters import DiscoveryQuery, matches_query
from app.services.discovery.scanner import Scanner
from app.services.discovery.sightings import Sightings, remove_duplicates

MAX_SEEN = 4096


class ExternalDiscovery:
    """The service has the records; this class keeps its last answer about each miner, in case it is down when a device
    is registered.

    Filters are sent along and applied again here: the Node stack's service compares MACs as text, and another one
    may ignore filters.
    """

    def __init__(self, client: DiscoveryServiceClient, scanner: Scanner, sightings: Sightings) -> None:
        self._client = client
        self._scanner = scanner
        self._sightings = sightings
        self._seen: dict[str, DiscoveredMiner] = {}

    @property
    def seen_count(self) -> int:
        return len(self._seen)

    def discover_miners(self, address: Address | None, mac: str | None) -> list[DiscoveredMiner]:
        """`mac` names the miner at `address` if neither its firmware nor the service does; without an address it is
        a filter."""
        found = self._remember_rows(self._client.scan_network(str(address) if address else None, mac))
        if address is not None and mac is not None and len(found) == 1 and found[0].mac is None:
            found = [replace(found[0], mac=mac, source=MacSource.CALLER)]
            self._sightings.remember_given(found)
        self._sightings.publish_sightings(found)
        return [each for each in found if address is not None or mac in (None, each.mac)]

    def has_targets(self) -> bool:
        """Return True: the service knows its networks."""
        return True

    def scan_progress(self) -> RunningScan | None:
        """Return None: the service does not report it."""
        return None

    def list_seen(self, query: DiscoveryQuery) -> list[DiscoveredMiner]:
        found = self._remember_rows(self._client.list_discovered(query.to_params()))
        return [each for each in found if matches_query(each, query)]

    def find_by_macs(self, macs: Sequence[str]) -> list[DiscoveredMiner]:
        """Request the whole list, since the service compares MACs as text. Raises DiscoveryFailed if the last
        answers do not suffice either."""
        try:
            self._remember_rows(self._client.list_discovered({}))
        except DiscoveryFailed:
            if not all(mac in self._seen or self._sightings.find_given(mac) for mac in macs):
                raise
        return [found for mac in macs if (found := self._seen.get(mac) or self._sightings.find_given(mac))]

    def known_addresses(self, mac: str) -> list[Address]:
        return [Address.parse(self._seen[mac].ip)] if mac in self._seen else []

    def forget_miner(self, mac: str) -> None:
        """Forget the miner here; the service has no way to delete an entry."""
        self._seen.pop(mac, None)

    def start(self) -> None:
        """Do nothing: there is no background task."""

    def stop(self) -> None:
        self._scanner.stop()
        self._client.close()

    def _remember_rows(self, rows: list[DiscoveredMiner]) -> list[DiscoveredMiner]:
        """Remember one entry per miner: a service on a host with two interfaces lists each twice, or once without
        its MAC."""
        found = remove_duplicates(rows, lambda mac: self._seen[mac].ip if mac in self._seen else None)
        for each in found:
            if each.mac is not None:
                self._seen.pop(each.mac, None)
                self._seen[each.mac] = each
        for mac in list(self._seen)[:-MAX_SEEN]:
            del self._seen[mac]
        return found
