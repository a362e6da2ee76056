"""Verification of which device answers at an address, before anything is written, moved or ended because of it."""

from __future__ import annotations

from collections.abc import Callable

from app.errors import DeviceError, DeviceLocked, DeviceRefused, DeviceStatus
from app.miners.address import DEFAULT_PORT, Address
from app.miners.identity import (
    Identity,
    OldAddress,
    decide_identity,
    has_reported_mac,
    is_same_hardware,
    require_same_device,
)
from app.models import MacSource, Reading
from app.services.devices.fleet import Fleet, Tracked
from app.services.discovery.neighbours import NeighbourTable

_BY_IDENTITY = {
    Identity.SAME: OldAddress.DEVICE,
    Identity.OTHER: OldAddress.OTHER_MINER,
    Identity.UNPROVEN: OldAddress.UNPROVEN,
}


class DeviceIdentity:
    """Compares readings with records; owns no state. `probe` reads an address through the slot of its miner."""

    def __init__(self, fleet: Fleet, neighbours: NeighbourTable, probe: Callable[[Address], Reading]) -> None:
        self._fleet = fleet
        self._neighbours = neighbours
        self._probe = probe

    def require_device(self, tracked: Tracked, address: Address, reading: Reading, *, strict: bool = False) -> None:
        """Raise WrongMiner unless `reading`, taken at `address`, is the device's. `strict`: before a write."""
        neighbour = self._neighbour_mac(reading, address)
        require_same_device(tracked.mac, address, reading, tracked.info, neighbour, strict=strict)

    def find_mac_source(self, tracked: Tracked, address: Address) -> MacSource | None:
        """Probe `address` and return the evidence that the device is there, None without any.

        The neighbour table alone is not enough: a range extender answers for every miner behind it.
        """
        try:
            reading = self._probe(address)
        except DeviceError:
            return None
        if reading.mac is not None:
            return MacSource.ANSWER if reading.mac == tracked.mac else None
        if self._neighbour_mac(reading, address) != tracked.mac or has_reported_mac(tracked.info):
            return None
        return MacSource.NEIGHBOURS if is_same_hardware(tracked.info, reading.info, with_hostname=True) else None

    def probe_old_address(self, tracked: Tracked) -> OldAddress:
        """Probe the address of the device's record. A 401 or a 5xx may be the device's own answer."""
        address = tracked.address
        try:
            reading = self._probe(address)
        except (DeviceLocked, DeviceRefused):
            return OldAddress.UNPROVEN
        except DeviceStatus as error:
            return OldAddress.UNPROVEN if error.status == 429 or error.status >= 500 else OldAddress.SILENT
        except DeviceError:
            return OldAddress.SILENT
        return _BY_IDENTITY[decide_identity(tracked.mac, reading, tracked.info, self._neighbour_mac(reading, address))]

    def _neighbour_mac(self, reading: Reading, address: Address) -> str | None:
        """Return the neighbour table's MAC for an address whose miner reports none (AxeOS before 2.3)."""
        if reading.mac or not (address.port == DEFAULT_PORT or self._fleet.is_alone_on_host(address)):
            return None
        return self._neighbours.find_mac(address.host)
