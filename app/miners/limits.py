"""What a miner may be set to: the vendor's options, with overclocking a band round them. Nothing is clamped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.miners.options import Options
from app.miners.settings import Change
from app.miners.telemetry import flag, number

# With overclocking: from half the smallest frequency to 1.5 times the largest; core voltages 150 mV beyond either end.
LOWEST_FREQUENCY, HIGHEST_FREQUENCY = 0.5, 1.5
VOLTAGE_MARGIN_MV = 150


def problems(
    changes: Sequence[Change], info: Mapping[str, Any], options: Options, *, allow_overclock: bool
) -> dict[str, list[str]]:
    """What is wrong with the frequency and core voltage asked for, by key; empty when nothing is."""
    unlocked = allow_overclock and flag(info.get("overclockEnabled")) == 1.0
    bands = {
        "frequency": (options.frequencies, _frequency_band(options, info), "MHz"),
        "coreVoltage": (options.voltages, _voltage_band(options, info), "mV"),
    }
    found = {}
    for change in changes:
        if change.key in bands:
            listed, band, unit = bands[change.key]
            sentence = _judge(float(change.value), listed, band if unlocked else None, unit)
            if sentence:
                found[change.key] = [sentence]
    return found


def _judge(value: float, listed: Sequence[float], band: tuple[float, float] | None, unit: str) -> str | None:
    if not listed:
        return "This miner names no options and its chip is in no table, so nothing can be set safely."
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


def _frequency_band(options: Options, info: Mapping[str, Any]) -> tuple[float, float] | None:
    if not options.frequencies:
        return None
    high = HIGHEST_FREQUENCY * max(options.frequencies)
    return LOWEST_FREQUENCY * min(options.frequencies), _capped(high, info.get("absMaxFrequency"))


def _voltage_band(options: Options, info: Mapping[str, Any]) -> tuple[float, float] | None:
    if not options.voltages:
        return None
    high = max(options.voltages) + VOLTAGE_MARGIN_MV
    return min(options.voltages) - VOLTAGE_MARGIN_MV, _capped(high, info.get("absMaxVoltage"))


def _capped(high: float, absolute: object) -> float:
    """NerdOS names an absolute maximum; 0 is its word for none."""
    limit = number(absolute)
    return min(high, limit) if limit else high
