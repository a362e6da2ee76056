"""Calculates the readings of a miner from its settings and from time. Pure functions without state or clock.

Units: MHz, mV, W, °C, GH/s, seconds, fan in percent. The constants are plausible, not measured:
power is proportional to frequency × voltage², temperature depends on power and fan, hash rate on frequency and cores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .asic_boards import Board

THERMAL_SECONDS = 20.0
FAN_RPM_AT_FULL = 7200
OVERHEAT_CHIP = 75.0
RISE_AT_FULL_FAN = 20.0
RISE_PER_MISSING_FAN = 35.0


@dataclass(frozen=True, slots=True)
class Plan:
    """The steady state under the present settings. Readings approach it over time."""

    hash_rate: float
    power: float
    fan: float
    temperature: float
    error_percent: float


def calculate_steady_state(board: Board, mhz: float, mv: float, ambient: float, fan: FanRule) -> Plan:
    """Return the steady state of a hashing board."""
    chip = board.chip
    load = (mhz / chip.default_mhz) * (mv / chip.default_mv) ** 2
    power = chip.watts * board.chips * load + board.overhead_watts
    percent = fan.calculate_percent(load, ambient)
    stability = _calculate_stability(board, mhz, mv)
    return Plan(
        hash_rate=mhz * board.expected_cores / 1000 * stability,
        power=power,
        fan=percent,
        temperature=ambient + load * _calculate_rise(percent),
        error_percent=0.1 + 100 * (1 - stability),
    )


def calculate_idle_state(board: Board, ambient: float, fan: FanRule) -> Plan:
    """Return the steady state without hashing: only the board itself uses power."""
    percent = fan.minimum if fan.automatic else fan.manual
    return Plan(0.0, board.overhead_watts, percent, ambient + 3.0, 0.0)


@dataclass(frozen=True, slots=True)
class FanRule:
    """The active fan settings."""

    automatic: bool
    manual: float
    minimum: float
    target: float

    def calculate_percent(self, load: float, ambient: float) -> float:
        """Return the speed in percent that keeps the target temperature, within the limits of the fan."""
        if not self.automatic:
            return self.manual
        percent = (
            100 - (max(self.target - ambient, 1.0) / max(load, 0.01) - RISE_AT_FULL_FAN) / RISE_PER_MISSING_FAN * 100
        )
        return min(100.0, max(self.minimum, percent))


def _calculate_rise(fan: float) -> float:
    """Return the degrees above ambient at nominal load."""
    return RISE_AT_FULL_FAN + RISE_PER_MISSING_FAN * (1 - fan / 100)


def _calculate_stability(board: Board, mhz: float, mv: float) -> float:
    """Return the fraction of correct work. It falls if the voltage is too low for the frequency."""
    chip = board.chip
    needed = chip.default_mv * (0.55 + 0.4 * mhz / chip.default_mhz)
    return max(0.0, 1 - 6 * max(0.0, needed - mv) / needed)


def approach_target(value: float, target: float, seconds: float, time_constant: float) -> float:
    """Approach a target as a first-order lag. Exact for a constant target, independent of the number of calls."""
    if seconds <= 0:
        return value
    return target + (value - target) * math.exp(-seconds / time_constant)


def _calculate_noise(now: float) -> float:
    """Return smooth noise between -1 and 1."""
    return 0.6 * math.sin(now / 7.3) + 0.4 * math.sin(now / 2.1)


# Noise depends only on time, so that equal seeds give equal readings. It comes from a table, because two sines for each
# of 30 readings take too long with 2,000 miners. Each miner has its own offset, each reading its own lane.
NOISE_RATE = 8
NOISE_MASK = 4095
NOISE = tuple(_calculate_noise(step / NOISE_RATE) for step in range(NOISE_MASK + 1))


def round_to_step(value: float, step: float) -> float:
    """Round a value to the resolution of the sensor."""
    return round(value / step) * step
