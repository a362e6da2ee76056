"""Search for a device by MAC when its miner is no longer at the known address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Network

from app.miners.address import Address
from app.services.discovery.neighbours import NeighbourTable
from app.services.discovery.scanner import ProbeHit, Scanner
from app.services.discovery.sightings import Sightings


class Locator:
    """Owns no state. The neighbour table and `remembered`, which cause no traffic, give likely addresses; only an
    answer counts."""

    def __init__(
        self,
        scanner: Scanner,
        neighbours: NeighbourTable,
        sightings: Sightings,
        remembered: Callable[[str], list[Address]],
        ports: Sequence[int],
    ) -> None:
        self._scanner = scanner
        self._neighbours = neighbours
        self._sightings = sightings
        self._remembered = remembered
        self._ports = tuple(ports)

    def locate_device(self, mac: str, subnets: Sequence[IPv4Network] = ()) -> Address | None:
        """Return the address where a miner reports `mac` (or the neighbour table does, for firmware without `macAddr`),
        or None.

        Every miner found on the way is stored and published: after a power cut, one scan finds all that moved.
        """
        near = self._find_address(mac, self._scanner.probe_addresses(self._likely_addresses(mac)))
        if near is not None or not subnets:
            return near
        return self._find_address(mac, self._scanner.scan_subnets(subnets, self._ports))

    def _likely_addresses(self, mac: str) -> list[Address]:
        neighbours = [Address(ip, port) for ip in self._neighbours.find_addresses(mac) for port in self._ports]
        return list(dict.fromkeys([*neighbours, *self._remembered(mac)]))

    def _find_address(self, mac: str, hits: list[ProbeHit]) -> Address | None:
        return next((Address.parse(each.ip) for each in self._sightings.record_hits(hits) if each.mac == mac), None)
