"""What the sensors and counters of one miner say now: one small function per reading, all of a `Subject`.

Functions of the machine's state and of time, in the firmware's units. `ABSENT` leaves a member out of the
answer, as the firmware does (power_fault while there is none, blockHeight before the first job).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import physics
from .boards import Board
from .generations import Generation
from .machine import Machine
from .settings import Settings

ABSENT = object()


@dataclass(slots=True)
class Subject:
    """What the getters look at. `now` is the simulation's time in seconds; `revision` grows when a fixed
    part changes."""

    generation: Generation
    board: Board
    settings: Settings
    machine: Machine
    mac: str
    host: str
    version: str
    now: float
    otp: bool = False
    reset_reason: str = "Power on reset"
    power_fault: str = ""
    hardware_fault: str = ""
    revision: int = 0

    def stamp(self) -> tuple[object, ...]:
        """Equal stamps: all fixed members read the same. The plan is a new object whenever settings in
        force, pause or pools changed."""
        return self.settings.version, self.revision, self.machine.plan, has_job(self)

    @property
    def stored(self) -> dict[str, Any]:
        """What the settings store holds: that is what /info reports, not what is in force."""
        return self.settings.stored


Getter = Callable[[Subject], Any]


def power(s: Subject) -> float:
    return physics.stepped(s.machine.plan.power * (1 + 0.01 * s.machine.noise(s.now, 1)), 0.01)


def voltage(s: Subject) -> float:
    step = 1.25 if s.board.ina260 else 7.8125
    return physics.stepped(s.board.volts * 1000 * (1.02 + 0.004 * s.machine.noise(s.now, 2)), step)


def current(s: Subject) -> float:
    """INA260: what the board takes in. TPS546: what the regulator gives to the chips, ten times as much."""
    if s.board.ina260:
        return physics.stepped(power(s) / voltage(s) * 1e6, 1.25)
    core = max(0.0, power(s) - s.board.overhead_watts)
    return physics.stepped(core / s.machine.settings["coreVoltage"] * 1e6, 15.625)


def temp(s: Subject) -> float:
    """-1 while the chip has no power: paused, overheated, not yet started."""
    if not s.machine.hashing:
        return -1.0
    return physics.stepped(s.machine.temperature + 0.4 * s.machine.noise(s.now, 3), 0.125)


def second_temp(s: Subject) -> float:
    return temp(s) + 1.25 if s.board.chips == 2 and s.machine.hashing else -1.0


def vr_temp(s: Subject) -> int:
    """0: boards with an INA260 have no sensor at the regulator."""
    return 0 if s.board.ina260 else int(s.machine.temperature + 4 + s.machine.noise(s.now, 4))


def fan(s: Subject) -> float:
    return min(100.0, max(0.0, s.machine.plan.fan + 0.4 * s.machine.noise(s.now, 5)))


def fan_rpm(s: Subject) -> int:
    return int(physics.FAN_RPM_AT_FULL * fan(s) / 100 + 20 * s.machine.noise(s.now, 6))


def counted_rate(s: Subject) -> float:
    """From the ASIC's own counters (AxeOS ≥ 2.11)."""
    return s.machine.plan.hash_rate * (1 + 0.02 * s.machine.noise(s.now, 7))


def estimated_rate(s: Subject) -> float:
    """From the shares (AxeOS ≤ 2.10): 0 until the first one, and noisy."""
    if s.machine.shares.accepted + s.machine.shares.rejected == 0:
        return 0.0
    return s.machine.plan.hash_rate * (1 + 0.12 * s.machine.noise(s.now, 7))


def average(window: int) -> Getter:
    return lambda s: s.machine.averages[window] * (1 + 0.004 * s.machine.noise(s.now, 8 + window))


def expected_rate(s: Subject) -> float:
    return s.stored["frequency"] * s.board.expected_cores / 1000 if s.machine.hashing else 0.0


def errors(s: Subject) -> float:
    return max(0.0, s.machine.plan.error_percent + 0.05 * s.machine.noise(s.now, 12))


def monitor(s: Subject) -> dict[str, Any]:
    chips = s.board.chips
    total = counted_rate(s) / chips
    errors = int(s.machine.uptime(s.now) * 0.07)
    return {"asics": [monitored_chip(s, chip, total, errors) for chip in range(chips)]}


def monitored_chip(s: Subject, chip: int, total: float, errors: int) -> dict[str, Any]:
    share = total / s.board.chip.domains
    domains = [
        round(share * (1 + 0.03 * s.machine.noise(s.now, 20 + chip * 4 + domain)), 7)
        for domain in range(s.board.chip.domains)
    ]
    return {"total": round(total, 7), "errorCount": errors, "domains": domains}


def monitor_2_12(s: Subject) -> dict[str, Any]:
    """Before 2.14: an empty list until the counters run, and the error count last."""
    if not has_job(s):
        return {"asics": []}
    rows = monitor(s)["asics"]
    return {"asics": [{key: row[key] for key in ("total", "domains", "errorCount")} for row in rows]}


def has_job(s: Subject) -> bool:
    return s.machine.mining_from <= s.now


def once_mining(value: object) -> Getter:
    """Absent until a job was decoded."""
    return lambda s: value if has_job(s) else ABSENT


def rejections(s: Subject) -> list[dict[str, Any]]:
    count = s.machine.shares.rejected
    return [{"message": "Above target", "count": count}] if count else []


def total_hashes(s: Subject) -> float:
    seconds = s.machine.lifetime + s.machine.uptime(s.now)
    return seconds * s.board.chip.default_mhz * s.board.expected_cores * 1e6


def core_voltage(s: Subject) -> float:
    """Measured at the regulator's output, mV."""
    return float(s.machine.settings["coreVoltage"]) * 0.993 + 3 * s.machine.noise(s.now, 15)
