"""What a miner may be set to: the vendor's options, with overclocking a band round them. Nothing is clamped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.miners.options import Options
from app.miners.settings import Change
from app.miners.telemetry import flag

Band = tuple[float, float]

# With overclocking: from half the smallest frequency to 1.5 times the largest; core voltages 150 mV beyond either end.
LOWEST_FREQUENCY, HIGHEST_FREQUENCY = 0.5, 1.5
VOLTAGE_MARGIN_MV = 150

_NO_OPTIONS = "This miner names no options and its chip is in no table, so nothing can be set safely."


def problems(
    changes: Sequence[Change], info: Mapping[str, Any], options: Options, *, allow_overclock: bool
) -> dict[str, list[str]]:
    """What is wrong with the frequency and core voltage asked for, by key; empty when nothing is."""
    unlocked = allow_overclock and is_unlocked(info)
    listed = {"frequency": (options.frequencies, "MHz"), "coreVoltage": (options.voltages, "mV")}
    found = {}
    for change in changes:
        if change.key in listed:
            band = bands(options)[change.key] if unlocked else None
            sentence = _judge(float(change.value), *listed[change.key], band)
            if sentence:
                found[change.key] = [sentence]
    return found


def is_unlocked(info: Mapping[str, Any]) -> bool:
    """Whether the miner itself has overclocking unlocked."""
    return flag(info.get("overclockEnabled")) == 1.0


def bands(options: Options) -> dict[str, Band | None]:
    """The hard limits that hold with overclocking; None where there are no options to draw them round."""
    frequencies, voltages = options.frequencies, options.voltages
    return {
        "frequency": _capped(
            LOWEST_FREQUENCY * min(frequencies), HIGHEST_FREQUENCY * max(frequencies), options.most_frequency
        )
        if frequencies
        else None,
        "coreVoltage": _capped(
            min(voltages) - VOLTAGE_MARGIN_MV, max(voltages) + VOLTAGE_MARGIN_MV, options.most_voltage
        )
        if voltages
        else None,
    }


def _capped(low: float, high: float, absolute: float | None) -> Band:
    return low, high if absolute is None else min(high, absolute)


def _judge(value: float, listed: Sequence[float], unit: str, band: Band | None) -> str | None:
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
