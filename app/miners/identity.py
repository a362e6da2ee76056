"""Whether the miner that answered is the device we meant. A sample is never attributed, and nothing is written, to
another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.errors import WrongMiner
from app.miners.address import Address
from app.models import Reading

_HARDWARE = ("ASICModel", "boardVersion", "deviceModel")


def require_same(
    mac: str,
    address: Address,
    reading: Reading,
    last: Mapping[str, Any],
    neighbour: str | None,
    *,
    strict: bool = False,
) -> None:
    """Raises WrongMiner unless `reading` is `mac`'s.

    By the MAC it reports; else (AxeOS before 2.3) by the `neighbour` table's MAC for its address; else by what it does
    report against the `last` answer: the hardware, and with `strict` (before a write) the hostname too, which a user
    may change between two polls.
    """
    actual = reading.mac or neighbour
    if actual is None:
        fields = (*_HARDWARE, "hostname") if strict else _HARDWARE
        actual = mac if all(last.get(key) == reading.info.get(key) for key in fields if last) else "another miner"
    if actual != mac:
        raise WrongMiner(mac, actual, str(address))
