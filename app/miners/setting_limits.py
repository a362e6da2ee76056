"""Limits of frequency and core voltage: the vendor's options, or with overclocking a range around them.

A value outside is refused, never clamped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.miners.setting_table import SettingChange
from app.miners.values import parse_flag
from app.miners.vendor_options import Options

Range = tuple[float, float]

# With overclocking: from half the smallest frequency to 1.5 times the largest; core voltages 150 mV beyond both ends.
LOWEST_FREQUENCY, HIGHEST_FREQUENCY = 0.5, 1.5
VOLTAGE_MARGIN_MV = 150

_NO_OPTIONS = "This miner reports no options and its chip is in no table, so no value is known to be safe."


def find_limit_problems(
    changes: Sequence[SettingChange], info: Mapping[str, Any], options: Options, *, allow_overclock: bool
) -> dict[str, list[str]]:
    """Return one sentence for each requested frequency or core voltage outside its limits, by key."""
    unlocked = allow_overclock and is_unlocked(info)
    listed = {"frequency": (options.frequencies, "MHz"), "coreVoltage": (options.voltages, "mV")}
    found = {}
    for change in changes:
        if change.key in listed:
            band = compute_hard_limits(options)[change.key] if unlocked else None
            problem = _describe_problem(float(change.value), *listed[change.key], band)
            if problem:
                found[change.key] = [problem]
    return found


def is_unlocked(info: Mapping[str, Any]) -> bool:
    """Return True if overclocking is unlocked on the miner."""
    return parse_flag(info.get("overclockEnabled")) == 1.0


def compute_hard_limits(options: Options) -> dict[str, Range | None]:
    """Return the hard limits under overclocking by key; None if there are no options to derive them from."""
    frequencies, voltages = options.frequencies, options.voltages
    return {
        "frequency": _cap_range(
            LOWEST_FREQUENCY * min(frequencies), HIGHEST_FREQUENCY * max(frequencies), options.max_frequency
        )
        if frequencies
        else None,
        "coreVoltage": _cap_range(
            min(voltages) - VOLTAGE_MARGIN_MV, max(voltages) + VOLTAGE_MARGIN_MV, options.max_voltage
        )
        if voltages
        else None,
    }


def _cap_range(low: float, high: float, absolute: float | None) -> Range:
    return low, high if absolute is None else min(high, absolute)


def _describe_problem(value: float, listed: Sequence[float], unit: str, band: Range | None) -> str | None:
    if not listed:
        return _NO_OPTIONS
    if value in listed:
        return None
    if band is None:
        shown = ", ".join(f"{option:g}" for option in listed)
        return (
            f"Must be one of {shown} {unit}; other values need overclocking unlocked on the miner "
            'and "allowOverclock": true.'
        )
    low, high = band
    return None if low <= value <= high else f"Must be from {low:g} to {high:g} {unit}, even with overclocking."
