"""HTTP requests to a miner for its log, through the miner's lock."""

from __future__ import annotations

from app.services.configuration.commands import Commands
from app.services.devices.fleet import Tracked


class DeviceLogAccess:
    """Verifies a miner's MAC before its log is read: its address may belong to another miner since the last poll, whose
    lines must not enter this log."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def verify_identity(self, tracked: Tracked) -> None:
        """Raise PlutoError unless the device's own miner answers at its address."""
        with self._commands.hold_miner(tracked, read_only=True) as miner:
            self._commands.read_verified(tracked, miner)

    def fetch_device_log(self, tracked: Tracked) -> bytes:
        """Return the log that the miner keeps, unparsed.

        Raises: PlutoError.
        """
        with self._commands.hold_miner(tracked, read_only=True) as miner:
            self._commands.read_verified(tracked, miner)
            return miner.fetch_past_log()
