"""Conflicts: devices whose MAC or address another miner claims."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from app.clock import Clock
from app.errors import MacNotTold, StoreError, WrongMiner
from app.events import DeviceDeleted
from app.miners.address import NOWHERE, Address, address_of_record
from app.services.devices.fleet import Fleet, Tracked
from app.store.documents import Documents

log = logging.getLogger(__name__)

# Observations that end a conflict, and the seconds between two that count. A claim to the MAC needs more than a restart
# of one of the two miners takes.
OBSERVATIONS_NEEDED = 2
POLL_SECONDS = 1.0
REVIEW_SECONDS = 60.0
MAX_CLAIMANTS = 8


@dataclass(slots=True)
class Agreement:
    """Consecutive observations in which only the device itself answered; `at`: the last one (monotonic)."""

    count: int = 0
    at: float = 0.0

    def add(self, now: float, seconds_apart: float) -> bool:
        """Count an observation; return True when there are enough."""
        if self.count == 0 or now - self.at >= seconds_apart:
            self.count, self.at = self.count + 1, now
        return self.count >= OBSERVATIONS_NEEDED


@dataclass(slots=True)
class Doubt:
    """Another miner answered at the device's address. `is_unproven`: it may be the device, which no longer reports its
    MAC."""

    sentence: str
    is_unproven: bool
    agreement: Agreement


@dataclass(slots=True)
class Claim:
    """Other addresses report the device's MAC too."""

    addresses: list[Address]
    agreement: Agreement


class Conflicts:
    """Owns every conflict. A conflict ends by a person, or after two consecutive observations that find only the
    device. Claims to a MAC are on disk, so that a restart of the service ends none."""

    def __init__(self, fleet: Fleet, documents: Documents, clock: Clock) -> None:
        self._fleet = fleet
        self._documents = documents
        self._clock = clock
        self._doubts: dict[str, Doubt] = {}
        self._claims: dict[str, Claim] = {}

    def load(self) -> None:
        """Read the claims from the store. Call it after the fleet is loaded."""
        self._claims = {}
        for mac, record in self._documents.all():
            listed = record.get("addresses")
            texts = [each for each in listed if isinstance(each, str)] if isinstance(listed, list) else []
            addresses = [each for each in map(address_of_record, texts) if each != NOWHERE][:MAX_CLAIMANTS]
            if addresses and (tracked := self._fleet.find(mac)):
                self._claims[mac] = Claim(addresses, Agreement())
                self._show(tracked)

    def claimed_macs(self) -> list[str]:
        return list(self._claims)

    def claimants(self, mac: str) -> list[Address]:
        """Return the other addresses that report the MAC."""
        claim = self._claims.get(mac)
        return list(claim.addresses) if claim else []

    def add_claim(self, tracked: Tracked, address: Address) -> None:
        """Record that `address` reports the MAC while the device answers, or may answer, at its own address."""
        claim = self._claims.setdefault(tracked.mac, Claim([], Agreement()))
        claim.agreement = Agreement()
        if address not in claim.addresses and len(claim.addresses) < MAX_CLAIMANTS:
            claim.addresses.append(address)
            self._save(tracked.mac)
            log.warning("a MAC is claimed twice", extra={"mac": tracked.mac, "address": str(address)})
        self._show(tracked)

    def review_claim(self, tracked: Tracked, *, is_alone: bool) -> None:
        """Record one check of all claimants. `is_alone`: the device answered at its address and no claimant did."""
        claim = self._claims.get(tracked.mac)
        if claim is None:
            return
        if not is_alone:
            claim.agreement = Agreement()
        elif claim.agreement.add(self._clock.monotonic(), REVIEW_SECONDS):
            self._end_claim(tracked.mac)
        self._show(tracked)

    def add_wrong_answer(self, tracked: Tracked, error: WrongMiner) -> None:
        """Record that a poll found another miner at the device's address."""
        sentence = f"{error.address} is answered by {error.actual}"
        self._doubts[tracked.mac] = Doubt(sentence, isinstance(error, MacNotTold), Agreement())
        self._show(tracked)

    def add_good_answer(self, tracked: Tracked) -> None:
        """Record that a poll found the device at its address."""
        doubt = self._doubts.get(tracked.mac)
        if doubt is not None and doubt.agreement.add(self._clock.monotonic(), POLL_SECONDS):
            self.end_doubt(tracked)

    def end_doubt(self, tracked: Tracked) -> None:
        """End the conflict about the device's former address: the device is known to be elsewhere."""
        if self._doubts.pop(tracked.mac, None):
            self._show(tracked)

    def end(self, tracked: Tracked) -> None:
        """End both conflicts, because a person decided which miner it is. A device that no longer reports its MAC need
        not report it from now on."""
        doubt = self._doubts.pop(tracked.mac, None)
        if doubt is not None and doubt.is_unproven:
            self._fleet.forget_told_mac(tracked.mac)
        if tracked.mac in self._claims:
            self._end_claim(tracked.mac)
        self._show(tracked)

    def _end_claim(self, mac: str) -> None:
        del self._claims[mac]
        self._save(mac)

    def _save(self, mac: str) -> None:
        claim = self._claims.get(mac)
        try:
            if claim is None:
                self._documents.delete(mac)
            else:
                self._documents.put(mac, {"addresses": [str(each) for each in claim.addresses]})
        except StoreError as error:
            log.warning("a conflict is not on disk, only in memory", extra={"mac": mac, "reason": str(error)})

    def _show(self, tracked: Tracked) -> None:
        claim, doubt = self._claims.get(tracked.mac), self._doubts.get(tracked.mac)
        claimed = ", ".join(map(str, claim.addresses)) + f" also claims to be {tracked.mac}" if claim else None
        self._fleet.set_conflict(tracked, claimed or (doubt.sentence if doubt else None))

    def on_device_deleted(self, event: DeviceDeleted) -> None:
        self._doubts.pop(event.mac, None)
        self._claims.pop(event.mac, None)
