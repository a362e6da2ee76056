"""What each firmware does when a chip is too hot: one function per way, chosen by `Generation.overheat`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .miner import Miner

STEP = 100  # MHz and mV that AxeOS ≥ 2.12 gives up for good
FLOOR_MHZ, FLOOR_MV = 50, 1000


def latch(miner: Miner, now: float) -> None:
    """AxeOS ≤ 2.10: crawl at 50 MHz with the fan at full speed, reboot, stay so until somebody clears
    overheat_mode."""
    fan = {"autofanspeed": 0, "manualFanSpeed": 100}
    miner.store({"frequency": FLOOR_MHZ, "coreVoltage": FLOOR_MV, "overheat_mode": 1} | fan)
    miner.machine.temperature = miner.machine.ambient + 40
    miner.restart(reason="Software reset via esp_restart")


def recover(miner: Miner, now: float) -> None:
    """AxeOS ≥ 2.12: stop, cool, come back with less. The new settings stay; the flag clears itself."""
    stored = miner.settings.stored
    reduced = {
        "frequency": max(FLOOR_MHZ, stored["frequency"] - STEP),
        "coreVoltage": max(FLOOR_MV, stored["coreVoltage"] - STEP),
        "autofanspeed": 0,
        "manualFanSpeed": 100,
    }
    miner.store({"overheat_mode": 1})
    seconds = miner.timings.cooling
    miner.settings.write(reduced | {"overheat_mode": 0}, miner.generation.live, now + seconds)
    miner.machine.temperature = miner.machine.ambient + 40
    miner.machine.halt(now, seconds)


def shutdown(miner: Miner, now: float) -> None:
    """NerdOS: the chips lose power until the next boot (inferred)."""
    miner.machine.halt(now)


OVERHEAT: dict[str, Callable[[Miner, float], None]] = {
    "latch": latch,
    "recover": recover,
    "shutdown": shutdown,
}
