"""Readings of the sensors and counters of one miner: one function per reading.

Each is a function of a `DeviceState`, in the units of the firmware. `ABSENT` omits a member from the answer, as the
firmware does (power_fault without a fault, blockHeight before the first job).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import physics
from .device_state import DeviceState

ABSENT = object()
Getter = Callable[[DeviceState], Any]


def read_power(state: DeviceState) -> float:
    """Return the power in W."""
    return physics.round_to_step(state.machine.plan.power * (1 + 0.01 * state.read_noise(1)), 0.01)


def read_voltage(state: DeviceState) -> float:
    """Return the input voltage in mV."""
    step = 1.25 if state.board.ina260 else 7.8125
    return physics.round_to_step(state.board.volts * 1000 * (1.02 + 0.004 * state.read_noise(2)), step)


def read_current(state: DeviceState) -> float:
    """Return the input current (INA260) or the output current of the regulator, ten times as high (TPS546)."""
    if state.board.ina260:
        return physics.round_to_step(read_power(state) / read_voltage(state) * 1e6, 1.25)
    core = max(0.0, read_power(state) - state.board.overhead_watts)
    return physics.round_to_step(core / state.machine.settings["coreVoltage"] * 1e6, 15.625)


def read_temperature(state: DeviceState) -> float:
    """Return the chip temperature; -1 while the chip has no power (paused, overheated, starting)."""
    if not state.machine.hashing:
        return -1.0
    return physics.round_to_step(state.machine.temperature + 0.4 * state.read_noise(3), 0.125)


def read_second_temperature(state: DeviceState) -> float:
    """Return the temperature of the second chip; -1 without a second chip or while it has no power."""
    return read_temperature(state) + 1.25 if state.board.chips == 2 and state.machine.hashing else -1.0


def read_regulator_temperature(state: DeviceState) -> int:
    """Return the regulator temperature; 0 on boards with an INA260, which have no such sensor."""
    return 0 if state.board.ina260 else int(state.machine.temperature + 4 + state.read_noise(4))


def read_fan_percent(state: DeviceState) -> float:
    """Return the fan speed in percent."""
    return min(100.0, max(0.0, state.machine.plan.fan + 0.4 * state.read_noise(5)))


def read_fan_rpm(state: DeviceState) -> int:
    """Return the fan speed in revolutions per minute."""
    return int(physics.FAN_RPM_AT_FULL * read_fan_percent(state) / 100 + 20 * state.read_noise(6))


def read_counted_rate(state: DeviceState) -> float:
    """Return the hash rate from the counters of the ASIC (AxeOS ≥ 2.11)."""
    return state.machine.plan.hash_rate * (1 + 0.02 * state.read_noise(7))


def read_estimated_rate(state: DeviceState) -> float:
    """Return the noisy hash rate estimated from shares; 0 until the first share (AxeOS ≤ 2.10)."""
    if state.machine.shares.accepted + state.machine.shares.rejected == 0:
        return 0.0
    return state.machine.plan.hash_rate * (1 + 0.12 * state.read_noise(7))


def make_average_getter(window: int) -> Getter:
    """Return a getter of the average hash rate over one of `MINUTE_WINDOWS`."""
    return lambda state: state.machine.averages[window] * (1 + 0.004 * state.read_noise(8 + window))


def read_expected_rate(state: DeviceState) -> float:
    """Return the expected hash rate in GH/s for the stored frequency."""
    return state.stored["frequency"] * state.board.expected_cores / 1000 if state.machine.hashing else 0.0


def read_error_percent(state: DeviceState) -> float:
    """Return the percentage of wrong results of the chips."""
    return max(0.0, state.machine.plan.error_percent + 0.05 * state.read_noise(12))


def read_hashrate_monitor(state: DeviceState) -> dict[str, Any]:
    """Return the hash rates per chip."""
    chips = state.board.chips
    total = read_counted_rate(state) / chips
    errors = int(state.uptime * 0.07)
    return {"asics": [read_chip_monitor(state, chip, total, errors) for chip in range(chips)]}


def read_chip_monitor(state: DeviceState, chip: int, total: float, errors: int) -> dict[str, Any]:
    """Return the hash rates of one chip and its domains."""
    share = total / state.board.chip.domains
    domains = [
        round(share * (1 + 0.03 * state.read_noise(20 + chip * 4 + domain)), 7)
        for domain in range(state.board.chip.domains)
    ]
    return {"total": round(total, 7), "errorCount": errors, "domains": domains}


def read_hashrate_monitor_2_12(state: DeviceState) -> dict[str, Any]:
    """Return the monitor of AxeOS < 2.14: an empty list before the first job."""
    if not state.has_job:
        return {"asics": []}
    rows = read_hashrate_monitor(state)["asics"]
    return {"asics": [{key: row[key] for key in ("total", "domains", "errorCount")} for row in rows]}


def make_job_getter(value: object) -> Getter:
    """Return a getter of a constant that is absent until the first job."""
    return lambda state: value if state.has_job else ABSENT


def read_rejections(state: DeviceState) -> list[dict[str, Any]]:
    """Return the reasons of rejected shares with their counts."""
    count = state.machine.shares.rejected
    return [{"message": "Above target", "count": count}] if count else []


def read_total_hashes(state: DeviceState) -> float:
    """Return the number of hashes of the whole lifetime."""
    seconds = state.machine.lifetime + state.uptime
    return seconds * state.board.chip.default_mhz * state.board.expected_cores * 1e6


def read_core_voltage(state: DeviceState) -> float:
    """Return the voltage at the output of the regulator in mV."""
    return float(state.machine.settings["coreVoltage"]) * 0.993 + 3 * state.read_noise(15)
