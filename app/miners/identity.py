"""Decide whether the miner that answered is the device that was meant, and whether a sighting moves a record. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from app.errors import MacNotTold, WrongMiner
from app.miners.address import Address
from app.miners.mac import canonical_mac
from app.models import MacSource, Reading, Status

_HARDWARE = ("ASICModel", "boardVersion", "deviceModel")


class Identity(StrEnum):
    """Whose answer it is. `UNPROVEN`: it may be the device's, but the device used to tell its MAC and this answer has
    none."""

    SAME = "same"
    OTHER = "other"
    UNPROVEN = "unproven"


class OldAddress(StrEnum):
    """What answers at the address of the record: the device, another miner, something that may be the device, or
    nothing that could be."""

    DEVICE = "device"
    OTHER_MINER = "other_miner"
    UNPROVEN = "unproven"
    SILENT = "silent"


class Verdict(StrEnum):
    """What a sighting of a device's MAC at another address means. `WAIT`: it is judged again after the next polls."""

    MOVE = "move"
    CONFLICT = "conflict"
    WAIT = "wait"
    IGNORE = "ignore"


def judge_sighting(
    source: MacSource | None,
    old_address: OldAddress,
    status: Status,
    *,
    is_restarting: bool,
    is_claimed: bool,
    tells_mac: bool,
) -> Verdict:
    """Decide what a sighting of a device's MAC at another address does to its record.

    `source`: where that MAC came from. `old_address`: what answered at the record's address just now, after the
    sighting. `status` and `is_restarting`: what the polls know. `is_claimed`: the device is in a conflict about its
    MAC already. `tells_mac`: it has told its MAC before, so only an answer that tells it is the device's.
    """
    allowed = (MacSource.ANSWER,) if tells_mac else (MacSource.ANSWER, MacSource.NEIGHBOURS)
    if source not in allowed:
        return Verdict.IGNORE
    if old_address is OldAddress.DEVICE:
        return Verdict.CONFLICT
    if is_claimed:
        return Verdict.IGNORE
    if is_restarting or status is Status.RESTARTING:
        return Verdict.WAIT
    if old_address is OldAddress.UNPROVEN:
        return Verdict.CONFLICT
    if old_address is OldAddress.OTHER_MINER or status is Status.OFFLINE:
        return Verdict.MOVE
    return Verdict.WAIT


def has_told_mac(info: Mapping[str, Any]) -> bool:
    """Whether the device's last answer told a MAC: then every later one must."""
    return canonical_mac(info.get("macAddr")) is not None


def is_same_hardware(last: Mapping[str, Any], info: Mapping[str, Any], *, with_hostname: bool) -> bool:
    """Whether an answer fits the last one. True where there is none to compare with."""
    fields = (*_HARDWARE, "hostname") if with_hostname else _HARDWARE
    return not last or all(last.get(key) == info.get(key) for key in fields)


def identify(
    mac: str, reading: Reading, last: Mapping[str, Any], neighbour: str | None, *, strict: bool = False
) -> Identity:
    """Compare an answer with the device `mac`.

    By the MAC that it tells; else by the `neighbour` table's MAC for its address (AxeOS before 2.3); else by what it
    does report against the `last` answer: the hardware, and with `strict` (before a write) the hostname too, which a
    user may change between two polls.
    """
    told = reading.mac or neighbour
    if told is not None and told != mac:
        return Identity.OTHER
    if reading.mac is not None:
        return Identity.SAME
    if has_told_mac(last):
        fits = is_same_hardware(last, reading.info, with_hostname=False)
        return Identity.UNPROVEN if fits else Identity.OTHER
    if neighbour is not None or is_same_hardware(last, reading.info, with_hostname=strict):
        return Identity.SAME
    return Identity.OTHER


def require_same(
    mac: str,
    address: Address,
    reading: Reading,
    last: Mapping[str, Any],
    neighbour: str | None,
    *,
    strict: bool = False,
) -> None:
    """Raise WrongMiner unless `identify` finds the device; MacNotTold where the answer lacks the MAC it used to have.

    A sample is never attributed, and nothing is written, to another miner.
    """
    identity = identify(mac, reading, last, neighbour, strict=strict)
    if identity is Identity.UNPROVEN:
        raise MacNotTold(mac, str(address))
    if identity is Identity.OTHER:
        raise WrongMiner(mac, reading.mac or neighbour or "another miner", str(address))
