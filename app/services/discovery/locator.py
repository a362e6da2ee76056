"""Search for a device by MAC when its miner is no longer at the known address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Network

from app.miners.address import Address
from app.services.discovery.neighbours import NeighbourTable
from app.services.discovery.scanner import Hit, Scanner
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

    def locate(self, mac: str, subnets: Sequence[IPv4Network] = ()) -> Address | None:
        """Return the address where a miner reports `mac` (or the neighbour table does, for firmware without `macAddr`),
        or None.

        Every miner found on the way is stored and published: after a power cut, one scan finds all that moved.
        """
        near = self._where(mac, self._scanner.probe_each(self._hints(mac)))
        if near is not None or not subnets:
            return near
        return self._where(mac, self._scanner.scan(subnets, self._ports))

    def _hints(self, mac: str) -> list[Address]:
        neighbours = [Address(ip, port) for ip in self._neighbours.addresses_of(mac) for port in self._ports]
        return list(dict.fromkeys([*neighbours, *self._remembered(mac)]))

    def _where(self, mac: str, hits: list[Hit]) -> Address | None:
        return next((Address.parse(each.ip) for each in self._sightings.take(hits) if each.mac == mac), None)
