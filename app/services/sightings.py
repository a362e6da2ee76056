"""What becomes of a miner that was met: whose it is, what is remembered of it, who is told."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from app.clock import iso
from app.events import EventBus, MinerSeen
from app.miners.address import DEFAULT_PORT
from app.models import Found
from app.services.neighbours import NeighbourTable
from app.services.scanner import Hit
from app.store.discovered import DiscoveredRepository

log = logging.getLogger(__name__)


def identified(hits: Sequence[Hit], neighbour: Callable[[str], str | None], given: str | None = None) -> list[Found]:
    """Each hit with its MAC: the one it reports, else the `given` one, else its neighbour entry's, else None.

    A neighbour entry is about a host, so it only names a miner on port 80 or alone on its address. One that two hits
    share, or that another miner reports as its own, is a range extender's or a router's: it names nobody.
    """
    hosts = Counter(address.host for address, _ in hits)
    alone = {address for address, _ in hits if address.port == DEFAULT_PORT or hosts[address.host] == 1}
    own = {address: reading.mac or given for address, reading in hits}
    guessed = {address: neighbour(address.host) for address in alone if own[address] is None}
    claims = Counter([*own.values(), *guessed.values()])
    macs = own | {address: mac for address, mac in guessed.items() if claims[mac] == 1}
    return [Found(macs[address], str(address), reading.info, last_seen=iso(reading.at)) for address, reading in hits]


def without_doubles(found: Sequence[Found], known_ip: Callable[[str], str | None]) -> list[Found]:
    """One entry per MAC: the one at the address already known for it, else the first. Those without a MAC all stay."""
    chosen: dict[str, Found] = {}
    for each in found:
        if each.mac is not None and (each.mac not in chosen or each.ip == known_ip(each.mac)):
            chosen[each.mac] = each
    return [each for each in found if each.mac is None or chosen[each.mac] is each]


class Sightings:
    """Takes what the scanner met. Owns nothing but the memory of which doubles were already logged.

    `repository` is None where a discovery service keeps the memory (its lock is on the same directory).
    """

    def __init__(self, neighbours: NeighbourTable, repository: DiscoveredRepository | None, events: EventBus) -> None:
        self._neighbours = neighbours
        self._repository = repository
        self._events = events
        self._doubles: set[str] = set()

    def take(self, hits: Sequence[Hit], given: str | None = None) -> list[Found]:
        """The hits as found miners, remembered and announced. `given` is the MAC a user named for a single hit.

        Doubles are announced too, so that a conflict shows, but before the one that stays: the last word is its.
        """
        met = identified(hits, self._neighbours.mac_of, given)
        found = self._remembered(without_doubles(met, self._known_ip))
        self._log_doubles(met)
        kept = {each.ip for each in found}
        self.announce([*(each for each in met if each.ip not in kept), *found])
        return found

    def announce(self, found: Iterable[Found]) -> None:
        for each in found:
            if each.mac is not None:
                self._events.publish(MinerSeen(each.mac, each.ip))

    def _known_ip(self, mac: str) -> str | None:
        known = self._repository.get(mac) if self._repository else None
        return known.ip if known else None

    def _remembered(self, found: list[Found]) -> list[Found]:
        first = [replace(each, first_seen=each.last_seen) for each in found]
        if self._repository is None:
            return first
        try:
            return self._repository.save(first)
        except Exception as error:  # a full disk must not hide the miners that are there
            log.error("what discovery saw could not be remembered", extra={"reason": repr(error)})
            return first

    def _log_doubles(self, met: list[Found]) -> None:
        """Two miners that claim one MAC: once per MAC."""
        counts = Counter(each.mac for each in met if each.mac is not None)
        for mac in {mac for mac, count in counts.items() if count > 1} - self._doubles:
            self._doubles.add(mac)
            ips = [each.ip for each in met if each.mac == mac]
            log.warning("one MAC at several addresses", extra={"mac": mac, "ips": ips})
