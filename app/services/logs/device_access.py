"""What a miner is asked by HTTP for the sake of its log, over its one slot."""

from __future__ import annotations

from app.services.configuration.commands import Commands
from app.services.devices.fleet import Tracked


class DeviceAccess:
    """Owns nothing. Before a stream is opened the miner says who it is: addresses change hands faster than polls see,
    and what another miner says is not this one's."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def verify(self, tracked: Tracked) -> None:
        """Raises PlutoError unless the device's own miner answers at its address."""
        with self._commands.held(tracked, read_only=True) as miner:
            self._commands.verified(tracked, miner)

    def past(self, tracked: Tracked) -> bytes:
        """Its own log of the past, as it is. Raises PlutoError."""
        with self._commands.held(tracked, read_only=True) as miner:
            self._commands.verified(tracked, miner)
            return miner.logs()
