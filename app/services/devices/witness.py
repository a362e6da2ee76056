"""Asks miners themselves who they are, before a record moves or a conflict ends."""

from __future__ import annotations

from collections.abc import Callable

from app.errors import DeviceError, DeviceLocked, DeviceRefused, DeviceStatus
from app.miners.address import Address
from app.miners.identity import Identity, OldAddress, has_told_mac, identify, is_same_hardware
from app.models import MacSource, Reading
from app.services.devices.fleet import Tracked

_BY_IDENTITY = {
    Identity.SAME: OldAddress.DEVICE,
    Identity.OTHER: OldAddress.OTHER_MINER,
    Identity.UNPROVEN: OldAddress.UNPROVEN,
}


class Witness:
    """Owns nothing. `probe` asks an address through its slot; `neighbour` is the MAC that the system's table gives for
    the address of a reading without one."""

    def __init__(
        self, probe: Callable[[Address], Reading], neighbour: Callable[[Reading, Address], str | None]
    ) -> None:
        self._probe = probe
        self._neighbour = neighbour

    def find_source(self, tracked: Tracked, address: Address) -> MacSource | None:
        """Ask `address`; return what says that the device is there, or None.

        The neighbour table alone is not enough: a range extender stands for every miner behind it.
        """
        try:
            reading = self._probe(address)
        except DeviceError:
            return None
        if reading.mac is not None:
            return MacSource.ANSWER if reading.mac == tracked.mac else None
        if self._neighbour(reading, address) != tracked.mac or has_told_mac(tracked.info):
            return None
        return MacSource.NEIGHBOURS if is_same_hardware(tracked.info, reading.info, with_hostname=True) else None

    def look_at_old_address(self, tracked: Tracked) -> OldAddress:
        """Ask the address of the device's record. A 401 or a 5xx may well be the device's."""
        address = tracked.address
        try:
            reading = self._probe(address)
        except (DeviceLocked, DeviceRefused):
            return OldAddress.UNPROVEN
        except DeviceStatus as error:
            return OldAddress.UNPROVEN if error.status == 429 or error.status >= 500 else OldAddress.SILENT
        except DeviceError:
            return OldAddress.SILENT
        return _BY_IDENTITY[identify(tracked.mac, reading, tracked.info, self._neighbour(reading, address))]
