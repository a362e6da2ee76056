"""The state of one miner that its parts share. Each part receives a `DeviceState`, never the `Miner`.

The state changes only in `update_to_now`, in the write methods and at a boot: time that passes costs nothing until a
caller asks for the state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any

from .asic_boards import BOARDS, Board
from .generations import GENERATIONS, Generation
from .machine import Machine
from .settings_store import MinerSettings
from .spec import MinerSpec, Timings, canonical_mac, make_first_settings

Clock = Callable[[], float]


class ResetReason(StrEnum):
    """Reset reasons in the words of ESP-IDF, as /api/system/info reports them."""

    POWER_ON = "Power on reset"
    SOFTWARE = "Software reset via esp_restart"
    PANIC = "Software reset due to exception/panic"


@dataclass(slots=True)
class DeviceState:
    """State of one miner. Times are in seconds of `clock`; `now` is the time of the last `update_to_now`.

    `revision` counts changes of the address, the reset reason and the power fault.
    """

    spec: MinerSpec
    generation: Generation
    board: Board
    timings: Timings
    clock: Clock
    settings: MinerSettings
    machine: Machine
    mac: str
    host: str
    now: float
    powered: bool = False
    identify_until: float = 0.0
    reset_reason: str = ResetReason.POWER_ON
    power_fault: str = ""
    revision: int = 0

    @property
    def stored(self) -> dict[str, Any]:
        """The stored settings. /api/system/info reports these, not the active ones."""
        return self.settings.stored

    @property
    def is_identifying(self) -> bool:
        """True while the screen shows "Hi!"."""
        return self.clock() < self.identify_until

    @property
    def has_job(self) -> bool:
        """True once the miner has received its first job after a boot."""
        return self.machine.mining_from <= self.now

    @property
    def uptime(self) -> int:
        """Whole seconds since boot."""
        return int(self.now - self.machine.booted_at)

    def read_noise(self, lane: int) -> float:
        """Return noise between -1 and 1 for one reading (`lane`)."""
        return self.machine.read_noise(self.now, lane)

    @property
    def cache_key(self) -> tuple[object, ...]:
        """Return a key that changes whenever a fixed member of /info changes.

        The plan is a new object whenever active settings, the pause or the pools changed.
        """
        return self.settings.version, self.revision, self.machine.plan, self.has_job

    def update_to_now(self) -> None:
        """Apply due writes, heat and shares up to the present."""
        self.now = now = self.clock()
        if self.settings.apply_due_writes(now):
            self.machine.update_plan(now)
        self.machine.advance_to(now)

    def store_settings(self, changes: Mapping[str, Any]) -> None:
        """Store settings at once, past the write queue, as the firmware does for its own changes."""
        self.settings.store_changes(changes, self.generation.live)
        self.machine.update_plan(self.clock())

    def write_settings(self, changes: Mapping[str, Any]) -> None:
        """Write settings for a client: through the write queue if the firmware has one."""
        delay = self.timings.queue if self.generation.queued_writes else 0.0
        self.settings.queue_write(changes, self.generation.live, self.clock() + delay)
        self.update_to_now()

    def boot(self, reason: str) -> None:
        """Boot: all stored settings become active, counters and uptime start at 0."""
        self.settings.activate_stored()
        self.machine.boot(self.clock(), self.timings.mining)
        self.reset_reason = reason
        self.identify_until = 0.0
        self.revision += 1

    def set_host(self, host: str) -> None:
        """Change the IP address that the miner reports."""
        self.host = host
        self.revision += 1

    def set_power_fault(self, text: str) -> None:
        """Set the power fault that the miner reports; an empty text clears it."""
        self.power_fault = text
        self.revision += 1


def make_state(spec: MinerSpec, rng: Random, clock: Clock, timings: Timings) -> DeviceState:
    """Return the state of a miner that has been running for some time."""
    generation, board = GENERATIONS[spec.generation], BOARDS[spec.board]
    settings = MinerSettings(make_first_settings(spec))
    return DeviceState(
        spec=spec,
        generation=generation,
        board=board,
        timings=timings,
        clock=clock,
        settings=settings,
        machine=Machine(board, settings.active, rng, clock()),
        mac=canonical_mac(spec.mac),
        host=spec.address[0],
        now=clock(),
    )
