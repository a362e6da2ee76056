"""Decide whether the miner that answered is the expected device, and whether a sighting moves a device. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from app.errors import MacNotReported, WrongMiner
from app.miners.address import Address
from app.miners.mac import canonical_mac
from app.models import MacSource, Reading, Status

_HARDWARE = ("ASICModel", "boardVersion", "deviceModel")


class Identity(StrEnum):
    """The sender of an answer: the device or another. `UNPROVEN`: the answer has no MAC, but earlier ones of the device
    had one."""

    SAME = "same"
    OTHER = "other"
    UNPROVEN = "unproven"


class OldAddress(StrEnum):
    """The peer at the device's stored address: the device, another miner, possibly the device, or no miner."""

    DEVICE = "device"
    OTHER_MINER = "other_miner"
    UNPROVEN = "unproven"
    SILENT = "silent"


class SightingDecision(StrEnum):
    """The consequence of a sighting of a device's MAC at another address. `WAIT`: decide again after the next polls."""

    MOVE = "move"
    CONFLICT = "conflict"
    WAIT = "wait"
    IGNORE = "ignore"


def decide_sighting(
    source: MacSource | None,
    old_address: OldAddress,
    status: Status,
    *,
    is_restarting: bool,
    is_claimed: bool,
    reports_mac: bool,
) -> SightingDecision:
    """Decide the consequence of a sighting of a device's MAC at another address.

    `source`: origin of that MAC. `old_address`: the peer at the stored address, probed after the sighting. `status` and
    `is_restarting`: from the polls. `is_claimed`: the device already has a conflict about its MAC. `reports_mac`: the
    device has reported its MAC before, so only an answer with a MAC can be the device's.
    """
    allowed = (MacSource.ANSWER,) if reports_mac else (MacSource.ANSWER, MacSource.NEIGHBOURS)
    if source not in allowed:
        return SightingDecision.IGNORE
    if old_address is OldAddress.DEVICE:
        return SightingDecision.CONFLICT
    if is_claimed:
        return SightingDecision.IGNORE
    if is_restarting or status is Status.RESTARTING:
        return SightingDecision.WAIT
    if old_address is OldAddress.UNPROVEN:
        return SightingDecision.CONFLICT
    if old_address is OldAddress.OTHER_MINER or status is Status.OFFLINE:
        return SightingDecision.MOVE
    return SightingDecision.WAIT


def has_reported_mac(info: Mapping[str, Any]) -> bool:
    """Return True if the answer has a MAC. If the last answer of a device had one, every later one must have it."""
    return canonical_mac(info.get("macAddr")) is not None


def is_same_hardware(last: Mapping[str, Any], info: Mapping[str, Any], *, with_hostname: bool) -> bool:
    """Return True if the hardware in two answers is the same, or if there is no last answer."""
    fields = (*_HARDWARE, "hostname") if with_hostname else _HARDWARE
    return not last or all(last.get(key) == info.get(key) for key in fields)


def decide_identity(
    mac: str, reading: Reading, last: Mapping[str, Any], neighbour: str | None, *, strict: bool = False
) -> Identity:
    """Decide whether an answer comes from the device `mac`.

    The MAC in the answer decides; else the MAC of its address in the neighbour table (AxeOS before 2.3); else the
    hardware in the `last` answer. With `strict` (before a write) the hostname must match too; it is not compared
    otherwise, since a user may change it between two polls.
    """
    reported = reading.mac or neighbour
    if reported is not None and reported != mac:
        return Identity.OTHER
    if reading.mac is not None:
        return Identity.SAME
    if has_reported_mac(last):
        fits = is_same_hardware(last, reading.info, with_hostname=False)
        return Identity.UNPROVEN if fits else Identity.OTHER
    if neighbour is not None or is_same_hardware(last, reading.info, with_hostname=strict):
        return Identity.SAME
    return Identity.OTHER


def require_same_device(
    mac: str,
    address: Address,
    reading: Reading,
    last: Mapping[str, Any],
    neighbour: str | None,
    *,
    strict: bool = False,
) -> None:
    """Raise WrongMiner if an answer comes from another miner, MacNotReported if it lacks the MAC that earlier ones had.

    It is called before a reading is attributed to a device and before every write.
    """
    identity = decide_identity(mac, reading, last, neighbour, strict=strict)
    if identity is Identity.UNPROVEN:
        raise MacNotReported(mac, str(address))
    if identity is Identity.OTHER:
        raise WrongMiner(mac, reading.mac or neighbour or "another miner", str(address))
