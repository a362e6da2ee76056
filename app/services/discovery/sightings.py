"""Sightings: identification, storage and publication of the miners that a scan or probe found."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from app.clock import format_iso
from app.events import EventBus, MinerSeen
from app.miners.address import DEFAULT_PORT
from app.models import CONFIRMED_SOURCES, DiscoveredMiner, MacSource
from app.services.discovery.neighbours import NeighbourTable
from app.services.discovery.scanner import ProbeHit
from app.store.discovered import DiscoveredRepository

log = logging.getLogger(__name__)

MAX_GIVEN = 256


def identify_hits(
    hits: Sequence[ProbeHit], neighbour: Callable[[str], str | None], given: str | None = None
) -> list[DiscoveredMiner]:
    """Return each hit with its MAC: the one it reports, else the `given` one, else its neighbour entry's, else None.

    A neighbour entry is about a host, so it names a miner only if that is on port 80 or alone on its address. An
    entry shared by two hits, or reported by another miner as its own, belongs to a range extender or router and
    names no miner.
    """
    hosts = Counter(address.host for address, _ in hits)
    alone = {address for address, _ in hits if address.port == DEFAULT_PORT or hosts[address.host] == 1}
    own = {address: reading.mac or given for address, reading in hits}
    guessed = {address: neighbour(address.host) for address in alone if own[address] is None}
    claims = Counter([*own.values(), *guessed.values()])
    macs = own | {address: mac for address, mac in guessed.items() if claims[mac] == 1}
    return [_miner_of_hit(hit, macs[hit[0]], is_given=own[hit[0]] is not None) for hit in hits]


def _miner_of_hit(hit: ProbeHit, mac: str | None, *, is_given: bool) -> DiscoveredMiner:
    """`is_given`: a MAC that the miner does not report itself comes from the caller, not from the neighbour table."""
    address, reading = hit
    source = None
    if mac is not None:
        unsaid = MacSource.CALLER if is_given else MacSource.NEIGHBOURS
        source = MacSource.ANSWER if reading.mac else unsaid
        if reading.is_cached and source in CONFIRMED_SOURCES:
            source = MacSource.CACHE
    return DiscoveredMiner(mac, str(address), reading.info, last_seen=format_iso(reading.at), source=source)


def remove_duplicates(found: Sequence[DiscoveredMiner], known_ip: Callable[[str], str | None]) -> list[DiscoveredMiner]:
    """Return one entry per miner.

    Of several with one MAC: one that answered just now before a cached one, then the one at the address already
    known for it, then the first. Of several without a MAC at one address: the first, and none where another has a
    MAC.
    """
    chosen: dict[str, DiscoveredMiner] = {}
    for each in found:
        if each.mac is not None and (each.mac not in chosen or _is_better(each, chosen[each.mac], known_ip(each.mac))):
            chosen[each.mac] = each
    named = {each.ip for each in chosen.values()}
    nameless = {each.ip: each for each in reversed(found) if each.mac is None and each.ip not in named}
    kept = {id(each) for each in (*chosen.values(), *nameless.values())}
    return [each for each in found if id(each) in kept]


def _is_better(new: DiscoveredMiner, old: DiscoveredMiner, known_ip: str | None) -> bool:
    new_cached, old_cached = new.source is MacSource.CACHE, old.source is MacSource.CACHE
    return old_cached if new_cached != old_cached else new.ip == known_ip


class Sightings:
    """Owns the MACs given by callers, and which duplicates were logged.

    `repository` is None where a discovery service has the records (it holds the lock on the same directory).
    """

    def __init__(self, neighbours: NeighbourTable, repository: DiscoveredRepository | None, events: EventBus) -> None:
        self._neighbours = neighbours
        self._repository = repository
        self._events = events
        self._logged_duplicates: set[str] = set()
        self._given: dict[str, DiscoveredMiner] = {}

    def find_given(self, mac: str) -> DiscoveredMiner | None:
        """Return the miner for which a caller gave this MAC last, so that it can be registered under it."""
        return self._given.get(mac)

    def remember_given(self, found: Iterable[DiscoveredMiner]) -> None:
        """Remember, in memory only, the miners whose MAC a caller gave, so that they can be registered."""
        for each in found:
            if each.mac is not None and each.source is MacSource.CALLER:
                self._given.pop(each.mac, None)
                self._given[each.mac] = each
        for mac in list(self._given)[:-MAX_GIVEN]:
            del self._given[mac]

    def record_hits(self, hits: Sequence[ProbeHit], given: str | None = None) -> list[DiscoveredMiner]:
        """Return the hits as discovered miners, after they were stored and published. `given`: the MAC that a user
        named for a single hit.

        Duplicates are published too, so that a conflict shows, but before the entry that stays: the last event wins.
        """
        met = identify_hits(hits, self._neighbours.find_mac, given)
        found = self._save_found(remove_duplicates(met, self._known_ip))
        self.remember_given(found)
        self._log_duplicates(met)
        kept = {each.ip for each in found}
        self.publish_sightings([*(each for each in met if each.ip not in kept), *found])
        return found

    def preview_hits(self, hits: Sequence[ProbeHit]) -> list[DiscoveredMiner]:
        """Return the hits of a scan that still runs as discovered miners; nothing is stored or published."""
        return remove_duplicates(identify_hits(hits, self._neighbours.find_mac), self._known_ip)

    def publish_sightings(self, found: Iterable[DiscoveredMiner]) -> None:
        """Publish the miners that answered just now: not those that a caller named, nor those from the last poll."""
        for each in found:
            if each.mac is not None and each.source in CONFIRMED_SOURCES:
                self._events.publish(MinerSeen(each.mac, each.ip))

    def _known_ip(self, mac: str) -> str | None:
        known = self._repository.get_entry(mac) if self._repository else None
        return known.ip if known else None

    def _save_found(self, found: list[DiscoveredMiner]) -> list[DiscoveredMiner]:
        first = [replace(each, first_seen=each.last_seen) for each in found]
        if self._repository is None:
            return first
        seen = [each for each in first if each.source in CONFIRMED_SOURCES or self._is_where_known(each)]
        try:
            saved = {each.ip: each for each in self._repository.save_found(seen)}
            return [saved.get(each.ip, each) for each in first]
        except Exception as error:  # a full disk must not hide the miners that are there
            log.error("what discovery saw could not be remembered", extra={"reason": repr(error)})
            return first

    def _is_where_known(self, found: DiscoveredMiner) -> bool:
        """Return False for a cached reading at an address that the miner has left: it renews an entry, and moves
        none."""
        return found.source is MacSource.CACHE and self._known_ip(str(found.mac)) in (None, found.ip)

    def _log_duplicates(self, met: list[DiscoveredMiner]) -> None:
        """Log once per MAC that two miners claim it."""
        counts = Counter(each.mac for each in met if each.mac is not None)
        for mac in {mac for mac, count in counts.items() if count > 1} - self._logged_duplicates:
            self._logged_duplicates.add(mac)
            ips = [each.ip for each in met if each.mac == mac]
            log.warning("one MAC at several addresses", extra={"mac": mac, "ips": ips})
