"""One simulated miner without sockets, in any time: for a history that is computed, and for tests of whole weeks."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from .device_state import Clock, ResetReason, make_state
from .info_printer import InfoPrinter, Values
from .machine import Machine
from .spec import MinerSpec, Timings


class SocketlessMiner:
    """A miner that has been running for some time. It equals a `Miner` of the same spec, rng and clock."""

    def __init__(self, spec: MinerSpec, rng: Random, clock: Clock, timings: Timings | None = None) -> None:
        self._state = make_state(spec, rng, clock, timings or Timings())
        self._printer = InfoPrinter(self._state)

    @property
    def mac(self) -> str:
        """The canonical MAC."""
        return self._state.mac

    @property
    def machine(self) -> Machine:
        """The mining part."""
        return self._state.machine

    def print_info(self) -> bytes:
        """Return the body of GET /api/system/info at the present time."""
        self._state.update_to_now()
        return self._printer.print_info()

    def read_values(self) -> Values:
        """Return the members of GET /api/system/info at the present time, without printing and parsing them."""
        self._state.update_to_now()
        return self._printer.read_values()

    def boot(self, reason: str = ResetReason.POWER_ON) -> None:
        """Boot at the present time. Counters and uptime start at 0."""
        self._state.update_to_now()
        self._state.boot(reason)

    def store_settings(self, changes: Mapping[str, Any]) -> None:
        """Store settings at once, past the write queue."""
        self._state.update_to_now()
        self._state.store_settings(changes)

    def update_state(self) -> None:
        """Apply heat and shares up to the present."""
        self._state.update_to_now()
