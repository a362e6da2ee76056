"""The state of a scan, and what each miner that it found is to the fleet. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from app.models import DiscoveredMiner

if TYPE_CHECKING:
    from app.services.devices.fleet import Tracked


class ScanStatus(StrEnum):
    """`idle`: no scan was started since the service started. `failed`: no miner could be searched for."""

    IDLE = "idle"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class FoundKind(StrEnum):
    """`moved`: a registered device that had another address when the scan began. `noMac`: it cannot be registered
    without a MAC."""

    NEW = "new"
    MOVED = "moved"
    REGISTERED = "registered"
    IGNORED = "ignored"
    NO_MAC = "noMac"


@dataclass(frozen=True, slots=True)
class FoundMiner:
    """A miner that a scan found. `tracked`: the registered device with its MAC."""

    miner: DiscoveredMiner
    kind: FoundKind
    previous_ip: str | None = None
    tracked: Tracked | None = None


@dataclass(frozen=True, slots=True)
class ScanState:
    """The scan that runs, else the last one. `probed` and `total` count addresses; both are 0 if a discovery service
    scans. Times are ISO 8601."""

    status: ScanStatus
    started_at: str | None = None
    finished_at: str | None = None
    probed: int = 0
    total: int = 0
    found: tuple[FoundMiner, ...] = ()
    error: str | None = None

    @property
    def counts(self) -> dict[FoundKind, int]:
        """Return the number of found miners by kind."""
        counted = Counter(each.kind for each in self.found)
        return {kind: counted[kind] for kind in FoundKind}


def classify_miners(
    found: Iterable[DiscoveredMiner],
    find_device: Callable[[str | None], Tracked | None],
    addresses_before: Mapping[str, str],
    ignored: Collection[str],
) -> tuple[FoundMiner, ...]:
    """Return what each found miner is. `addresses_before`: the addresses of the registered devices when the scan
    began, by MAC. A device in conflict did not move: two miners claim its MAC."""
    return tuple(_classify_miner(each, find_device(each.mac), addresses_before, ignored) for each in found)


def _classify_miner(
    miner: DiscoveredMiner, tracked: Tracked | None, addresses_before: Mapping[str, str], ignored: Collection[str]
) -> FoundMiner:
    if miner.mac is None:
        return FoundMiner(miner, FoundKind.NO_MAC)
    if tracked is None:
        return FoundMiner(miner, FoundKind.IGNORED if miner.mac in ignored else FoundKind.NEW)
    before = addresses_before.get(miner.mac, miner.ip)
    if before == miner.ip or tracked.conflict:
        return FoundMiner(miner, FoundKind.REGISTERED, tracked=tracked)
    return FoundMiner(miner, FoundKind.MOVED, before, tracked)
