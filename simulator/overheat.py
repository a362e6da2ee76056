"""The reaction of each firmware to a chip that is too hot: one function per kind of `Generation.overheat`."""

from __future__ import annotations

from collections.abc import Callable

from .device_state import DeviceState, ResetReason
from .generations import OverheatReaction

STEP = 100  # MHz and mV by which AxeOS ≥ 2.12 lowers its settings for good
MIN_MHZ, MIN_MV = 50, 1000
RestartMiner = Callable[[str], None]


def latch_overheat_mode(state: DeviceState, now: float, restart: RestartMiner) -> None:
    """Run at 50 MHz with the fan at full speed and restart (AxeOS ≤ 2.10).

    The miner stays so until a client clears overheat_mode.
    """
    fan = {"autofanspeed": 0, "manualFanSpeed": 100}
    state.store_settings({"frequency": MIN_MHZ, "coreVoltage": MIN_MV, "overheat_mode": 1} | fan)
    state.machine.temperature = state.machine.ambient + 40
    restart(ResetReason.SOFTWARE)


def recover_with_lower_settings(state: DeviceState, now: float, restart: RestartMiner) -> None:
    """Stop, cool down and continue with lower settings (AxeOS ≥ 2.12). The flag clears itself."""
    stored = state.stored
    reduced = {
        "frequency": max(MIN_MHZ, stored["frequency"] - STEP),
        "coreVoltage": max(MIN_MV, stored["coreVoltage"] - STEP),
        "autofanspeed": 0,
        "manualFanSpeed": 100,
    }
    state.store_settings({"overheat_mode": 1})
    seconds = state.timings.cooling
    state.settings.queue_write(reduced | {"overheat_mode": 0}, state.generation.live, now + seconds)
    state.machine.temperature = state.machine.ambient + 40
    state.machine.stop_hashing(now, seconds)


def cut_chip_power(state: DeviceState, now: float, restart: RestartMiner) -> None:
    """Cut the power of the chips until the next boot (NerdOS, inferred)."""
    state.machine.stop_hashing(now)


OVERHEAT_REACTIONS: dict[OverheatReaction, Callable[[DeviceState, float, RestartMiner], None]] = {
    OverheatReaction.LATCH: latch_overheat_mode,
    OverheatReaction.RECOVER: recover_with_lower_settings,
    OverheatReaction.SHUTDOWN: cut_chip_power,
}
