"""How the readings of a miner follow from its settings and from time. Pure functions, no state, no clock.

Units: MHz, mV, W, °C, GH/s, seconds, fan in percent. The constants are plausible, not measured: what
matters is that power goes with frequency × voltage², temperature with power and fan, and hashrate with
frequency and cores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .boards import Board

THERMAL_SECONDS = 20.0
FAN_RPM_AT_FULL = 7200
OVERHEAT_CHIP = 75.0
RISE_AT_FULL_FAN = 20.0
RISE_PER_MISSING_FAN = 35.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the miner is heading under its present settings: the steady state that readings relax towards."""

    hash_rate: float
    power: float
    fan: float
    temperature: float
    error_percent: float


def steady_state(board: Board, mhz: float, mv: float, ambient: float, fan: FanRule) -> Plan:
    """The steady state of a hashing board."""
    chip = board.chip
    load = (mhz / chip.default_mhz) * (mv / chip.default_mv) ** 2
    power = chip.watts * board.chips * load + board.overhead_watts
    percent = fan.percent(load, ambient)
    stability = _stability(board, mhz, mv)
    return Plan(
        hash_rate=mhz * board.expected_cores / 1000 * stability,
        power=power,
        fan=percent,
        temperature=ambient + load * _rise(percent),
        error_percent=0.1 + 100 * (1 - stability),
    )


def idle_state(board: Board, ambient: float, fan: FanRule) -> Plan:
    """The steady state without hashing: only the board's own draw is left."""
    percent = fan.minimum if fan.automatic else fan.manual
    return Plan(0.0, board.overhead_watts, percent, ambient + 3.0, 0.0)


@dataclass(frozen=True, slots=True)
class FanRule:
    """The fan settings in force."""

    automatic: bool
    manual: float
    minimum: float
    target: float

    def percent(self, load: float, ambient: float) -> float:
        """The speed the controller ends at: what holds the target temperature, inside its limits."""
        if not self.automatic:
            return self.manual
        wanted = (
            100 - (max(self.target - ambient, 1.0) / max(load, 0.01) - RISE_AT_FULL_FAN) / RISE_PER_MISSING_FAN * 100
        )
        return min(100.0, max(self.minimum, wanted))


def _rise(fan: float) -> float:
    """Degrees above ambient at nominal load."""
    return RISE_AT_FULL_FAN + RISE_PER_MISSING_FAN * (1 - fan / 100)


def _stability(board: Board, mhz: float, mv: float) -> float:
    """Share of the work that is right: falls when the voltage is too low for the frequency."""
    chip = board.chip
    needed = chip.default_mv * (0.55 + 0.4 * mhz / chip.default_mhz)
    return max(0.0, 1 - 6 * max(0.0, needed - mv) / needed)


def relax(value: float, target: float, seconds: float, time_constant: float) -> float:
    """First-order approach. Exact for a constant target, so it does not matter how often it is asked."""
    if seconds <= 0:
        return value
    return target + (value - target) * math.exp(-seconds / time_constant)


def seconds_until(value: float, target: float, limit: float, time_constant: float) -> float | None:
    """When a relaxing value reaches `limit`; None if it never does."""
    if value >= limit:
        return 0.0
    if target <= limit:
        return None
    return time_constant * math.log((target - value) / (target - limit))


def _wobble(now: float) -> float:
    """Smooth noise between -1 and 1."""
    return 0.6 * math.sin(now / 7.3) + 0.4 * math.sin(now / 2.1)


# Noise is a function of time alone, so that equal seeds give equal readings; from a table, since two sines
# for each of 30 readings are felt at 2,000 miners. A miner reads it from its own offset, each reading from
# its own lane.
NOISE_RATE = 8
NOISE_MASK = 4095
NOISE = tuple(_wobble(step / NOISE_RATE) for step in range(NOISE_MASK + 1))


def stepped(value: float, step: float) -> float:
    """The resolution of the measuring chip."""
    return round(value / step) * step
