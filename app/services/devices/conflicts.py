"""Conflicts: devices whose MAC or address another miner claims."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from app.clock import Clock
from app.errors import MacNotReported, StoreError, WrongMiner
from app.events import DeviceDeleted
from app.miners.address import UNUSABLE_ADDRESS, Address, parse_stored_address
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
class SoleAnswers:
    """Consecutive observations in which only the device itself answered; `at`: the last one (monotonic)."""

    count: int = 0
    at: float = 0.0

    def count_answer(self, now: float, seconds_apart: float) -> bool:
        """Count an observation; return True when there are enough."""
        if self.count == 0 or now - self.at >= seconds_apart:
            self.count, self.at = self.count + 1, now
        return self.count >= OBSERVATIONS_NEEDED


@dataclass(slots=True)
class AddressConflict:
    """Another miner answered at the device's address. `is_unproven`: it may be the device, which no longer reports its
    MAC."""

    sentence: str
    is_unproven: bool
    sole_answers: SoleAnswers


@dataclass(slots=True)
class MacConflict:
    """Other addresses report the device's MAC too."""

    addresses: list[Address]
    sole_answers: SoleAnswers


class Conflicts:
    """Owns every conflict. A conflict ends by a person, or after two consecutive observations that find only the
    device. Claims to a MAC are on disk, so that a restart of the service ends none."""

    def __init__(self, fleet: Fleet, documents: Documents, clock: Clock) -> None:
        self._fleet = fleet
        self._documents = documents
        self._clock = clock
        self._address_conflicts: dict[str, AddressConflict] = {}
        self._mac_conflicts: dict[str, MacConflict] = {}

    def load_conflicts(self) -> None:
        """Read the claims from the store. Call it after the fleet is loaded."""
        self._mac_conflicts = {}
        for mac, record in self._documents.list_documents():
            listed = record.get("addresses")
            texts = [each for each in listed if isinstance(each, str)] if isinstance(listed, list) else []
            addresses = [each for each in map(parse_stored_address, texts) if each != UNUSABLE_ADDRESS][:MAX_CLAIMANTS]
            if addresses and (tracked := self._fleet.find_device(mac)):
                self._mac_conflicts[mac] = MacConflict(addresses, SoleAnswers())
                self._update_fleet(tracked)

    def claimed_macs(self) -> list[str]:
        return list(self._mac_conflicts)

    def claimed_addresses(self, mac: str) -> list[Address]:
        """Return the other addresses that report the MAC."""
        claim = self._mac_conflicts.get(mac)
        return list(claim.addresses) if claim else []

    def add_mac_claim(self, tracked: Tracked, address: Address) -> None:
        """Record that `address` reports the MAC while the device answers, or may answer, at its own address."""
        claim = self._mac_conflicts.setdefault(tracked.mac, MacConflict([], SoleAnswers()))
        claim.sole_answers = SoleAnswers()
        if address not in claim.addresses and len(claim.addresses) < MAX_CLAIMANTS:
            claim.addresses.append(address)
            self._save_claim(tracked.mac)
            log.warning("a MAC is claimed twice", extra={"mac": tracked.mac, "address": str(address)})
        self._update_fleet(tracked)

    def review_mac_claim(self, tracked: Tracked, *, is_alone: bool) -> None:
        """Record one check of all claimants. `is_alone`: the device answered at its address and no claimant did."""
        claim = self._mac_conflicts.get(tracked.mac)
        if claim is None:
            return
        if not is_alone:
            claim.sole_answers = SoleAnswers()
        elif claim.sole_answers.count_answer(self._clock.monotonic(), REVIEW_SECONDS):
            self._end_mac_claim(tracked.mac)
        self._update_fleet(tracked)

    def add_wrong_answer(self, tracked: Tracked, error: WrongMiner) -> None:
        """Record that a poll found another miner at the device's address."""
        sentence = f"{error.address} is answered by {error.actual}"
        self._address_conflicts[tracked.mac] = AddressConflict(
            sentence, isinstance(error, MacNotReported), SoleAnswers()
        )
        self._update_fleet(tracked)

    def add_good_answer(self, tracked: Tracked) -> None:
        """Record that a poll found the device at its address."""
        doubt = self._address_conflicts.get(tracked.mac)
        if doubt is not None and doubt.sole_answers.count_answer(self._clock.monotonic(), POLL_SECONDS):
            self.end_address_conflict(tracked)

    def end_address_conflict(self, tracked: Tracked) -> None:
        """End the conflict about the device's former address: the device is known to be elsewhere."""
        if self._address_conflicts.pop(tracked.mac, None):
            self._update_fleet(tracked)

    def end_conflicts(self, tracked: Tracked) -> None:
        """End both conflicts, because a person decided which miner it is. A device that no longer reports its MAC need
        not report it from now on."""
        doubt = self._address_conflicts.pop(tracked.mac, None)
        if doubt is not None and doubt.is_unproven:
            self._fleet.forget_reported_mac(tracked.mac)
        if tracked.mac in self._mac_conflicts:
            self._end_mac_claim(tracked.mac)
        self._update_fleet(tracked)

    def _end_mac_claim(self, mac: str) -> None:
        del self._mac_conflicts[mac]
        self._save_claim(mac)

    def _save_claim(self, mac: str) -> None:
        claim = self._mac_conflicts.get(mac)
        try:
            if claim is None:
                self._documents.delete_documents(mac)
            else:
                self._documents.save_document(mac, {"addresses": [str(each) for each in claim.addresses]})
        except StoreError as error:
            log.warning("a conflict is not on disk, only in memory", extra={"mac": mac, "reason": str(error)})

    def _update_fleet(self, tracked: Tracked) -> None:
        claim, doubt = self._mac_conflicts.get(tracked.mac), self._address_conflicts.get(tracked.mac)
        claimed = ", ".join(map(str, claim.addresses)) + f" also claims to be {tracked.mac}" if claim else None
        self._fleet.set_conflict(tracked, claimed or (doubt.sentence if doubt else None))

    def on_device_deleted(self, event: DeviceDeleted) -> None:
        self._address_conflicts.pop(event.mac, None)
        self._mac_conflicts.pop(event.mac, None)
