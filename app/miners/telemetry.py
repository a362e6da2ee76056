"""One model of a miner's numbers, whatever its firmware calls them. A measurement is a row of MEASURES.

A value is a finite number or absent; 0 is a value. Firmware's ways of saying "unknown" (-1, -90, null, "") become
absence. Units follow Prometheus' base units, except where the contract fixed the original's (GH/s, MHz, rpm).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from app.miners.dialects import is_multi_chip

Info = Mapping[str, Any]
Fields = tuple[str, ...]
Read = Callable[[Info, Fields], float | None]

_NUMERIC = re.compile(r"(?a)[+-]?\d{1,20}(\.\d{1,20})?([eE][+-]?\d{1,3})?")
_DIFFICULTY = re.compile(r"(?a)(\d{1,20}(?:\.\d{1,20})?(?:[eE][+-]?\d{1,2})?) ?([kKMGTPE]?) ?")
_SUFFIX = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}


@dataclass(frozen=True, slots=True)
class Measure:
    """`key` is the name behind `pluto_device_`; `fields` are the firmware's names for it, newest first; `read` makes
    one number of them.

    `legacy`: the original exported it too, as `<hostname>_<key>`.
    """

    key: str
    help: str
    fields: Fields
    read: Read
    legacy: bool = False


def number(value: object) -> float | None:
    """A finite number, or a text that is one (some forks quote numbers); None for everything else, booleans
    included."""
    if isinstance(value, str):
        value = float(value) if _NUMERIC.fullmatch(value.strip()) else None
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    converted = float(value)
    return converted if math.isfinite(converted) else None


def flag(value: object) -> float | None:
    """0/1 numbers and booleans mean the same; which of them a field is changed in 2.14."""
    if isinstance(value, bool):
        return float(value)
    read = number(value)
    return read if read in (0.0, 1.0) else None


def _first(info: Info, fields: Fields) -> object:
    for field in fields:  # not next() over a generator: it took a third of the time of all measures
        if field in info:
            return info[field]
    return None


def _amount(info: Info, fields: Fields, scale: float = 1.0) -> float | None:
    """Rates and counts are never negative."""
    value = number(_first(info, fields))
    return value / scale if value is not None and value >= 0 else None


_milli = partial(_amount, scale=1000.0)


def _flag(info: Info, fields: Fields) -> float | None:
    return flag(_first(info, fields))


def _difficulty(info: Info, fields: Fields) -> float | None:
    """A number since 2.11 and text before: "5.56G" (2.7), "572.14M" (2.8), "572.14 M" (2.10), "1e+03k", "0"."""
    value = _first(info, fields)
    if not isinstance(value, str):
        return _amount(info, fields)
    match = _DIFFICULTY.fullmatch(value)
    return float(match[1]) * _SUFFIX[match[2]] if match else None


def _temperature(info: Info, fields: Fields, unknown: tuple[float, ...] = (-1.0,)) -> float | None:
    """Chip sensors say -1 while the ASIC has no power; `vrTemp` says 0 on boards without that sensor (those with an
    INA260)."""
    value = number(_first(info, fields))
    return None if value is None or value in unknown else value


def _temperature2(info: Info, fields: Fields) -> float | None:
    """-1 without a second chip, 0 on v2.10."""
    value = _temperature(info, fields)
    return None if value == 0 and not is_multi_chip(info) else value


def _rssi(info: Info, fields: Fields) -> float | None:
    """-90 is the firmware's "unknown"."""
    value = number(_first(info, fields))
    return None if value is None or value == -90 or value > 0 else value


def ratio(part: float, whole: float) -> float | None:
    """A quotient, or None where it is no finite number."""
    quotient = part / whole if whole else math.inf
    return quotient if math.isfinite(quotient) else None


def _efficiency(info: Info, fields: Fields) -> float | None:
    """J/TH; absent, not infinite, while nothing is hashed."""
    power, hashrate = (_amount(info, (field,)) for field in fields)
    return None if power is None or hashrate is None else ratio(power, hashrate / 1000)


def _using_fallback(info: Info, fields: Fields) -> float | None:
    """NerdOS after v1.0.3x says it only inside `stratum`."""
    inner = info.get("stratum")
    nested = inner.get("usingFallback") if isinstance(inner, dict) else None
    return flag(info.get(fields[0], nested))


def _fault(info: Info, fields: Fields, since: str) -> float | None:
    """A fault's key is there only while it lasts; `since` is a field that came with the same release, so that silence
    means "none"."""
    if _first(info, fields):
        return 1.0
    return 0.0 if since in info else None


MEASURES: tuple[Measure, ...] = (
    Measure(
        "power_watts",
        "Power in W: measured input, or on TPS546 boards output plus a fixed offset",
        ("power",),
        _amount,
        True,
    ),
    Measure("voltage_volts", "Input voltage in V", ("voltage",), _milli, True),
    Measure(
        "current_amps",
        "Current in A: input on INA260 boards and NerdOS, output on TPS546 boards",
        ("current",),
        _milli,
        True,
    ),
    Measure("fanspeed_rpm", "Fan speed in rpm", ("fanrpm", "fanSpeedRpm", "fanSpeed"), _amount, True),
    Measure(
        "temperature_celsius",
        "Chip temperature in degrees Celsius (NerdOS: the hottest chip)",
        ("temp",),
        _temperature,
        True,
    ),
    Measure("hashrate_ghs", "Hashrate in GH/s", ("hashRate",), _amount, True),
    Measure("shares_accepted", "Shares accepted since the miner's start", ("sharesAccepted",), _amount, True),
    Measure("shares_rejected", "Shares rejected since the miner's start", ("sharesRejected",), _amount, True),
    Measure("uptime_seconds", "Seconds since the miner's start", ("uptimeSeconds",), _amount, True),
    Measure("free_heap_bytes", "Free heap of the controller in bytes", ("freeHeap",), _amount, True),
    Measure("core_voltage_volts", "Core voltage that is set, in V", ("coreVoltage",), _milli, True),
    Measure("core_voltage_actual_volts", "Core voltage as measured, in V", ("coreVoltageActual",), _milli, True),
    Measure("frequency_mhz", "ASIC frequency that is set, in MHz", ("frequency",), _amount, True),
    Measure("efficiency", "Efficiency in J/TH", ("power", "hashRate"), _efficiency, True),
    Measure("temperature2_celsius", "Temperature of the second chip in degrees Celsius", ("temp2",), _temperature2),
    Measure(
        "vr_temperature_celsius",
        "Voltage regulator temperature in degrees Celsius",
        ("vrTemp",),
        partial(_temperature, unknown=(-1.0, 0.0)),
    ),
    Measure("fan2_speed_rpm", "Speed of the second fan in rpm", ("fan2rpm", "fanrpm2"), _amount),
    Measure("fan_percent", "Fan duty in percent (before AxeOS 2.1.9: the setting)", ("fanspeed",), _amount),
    Measure(
        "target_temperature_celsius",
        "Temperature that the fan control aims at",
        ("temptarget", "pidTargetTemp"),
        _amount,
    ),
    Measure("hashrate_1m_ghs", "Hashrate over one minute in GH/s", ("hashRate_1m",), _amount),
    Measure("hashrate_10m_ghs", "Hashrate over ten minutes in GH/s", ("hashRate_10m",), _amount),
    Measure("hashrate_1h_ghs", "Hashrate over one hour in GH/s", ("hashRate_1h",), _amount),
    Measure(
        "expected_hashrate_ghs", "Hashrate to expect of chip and frequency, in GH/s", ("expectedHashrate",), _amount
    ),
    Measure("error_percent", "Share of wrong nonces in percent", ("errorPercentage",), _amount),
    Measure("actual_frequency_mhz", "ASIC frequency as it runs, in MHz", ("actualFrequency",), _amount),
    Measure("best_difficulty", "Best difficulty ever", ("bestDiff",), _difficulty),
    Measure("best_session_difficulty", "Best difficulty since the miner's start", ("bestSessionDiff",), _difficulty),
    Measure("pool_difficulty", "Difficulty that the pool asks for", ("poolDifficulty", "stratumDiff"), _amount),
    Measure("pool_response_seconds", "Round trip to the pool in s", ("responseTime", "lastpingrtt"), _milli),
    Measure("using_fallback_pool", "1 while the fallback pool is in use", ("isUsingFallbackStratum",), _using_fallback),
    Measure("wifi_rssi_dbm", "Wi-Fi signal in dBm", ("wifiRSSI",), _rssi),
    Measure("mining_paused", "1 while mining is paused by request", ("miningPaused",), _flag),
    Measure(
        "overheat", "1 while the firmware holds the miner back after overheating", ("overheat_mode", "overheat"), _flag
    ),
    Measure(
        "power_fault",
        "1 while the firmware reports a power fault",
        ("power_fault",),
        partial(_fault, since="apEnabled"),
    ),
    Measure(
        "hardware_fault",
        "1 while the firmware reports a hardware fault",
        ("hardware_fault",),
        partial(_fault, since="miningPaused"),
    ),
    Measure("blocks_found", "Blocks found", ("blockFound", "foundBlocks"), _amount),
    Measure("max_power_watts", "Power limit of the board in W", ("maxPower",), _amount),
    Measure("free_heap_internal_bytes", "Free internal heap in bytes", ("freeHeapInternal",), _amount),
    Measure("cpu_percent", "Load of the controller in percent", ("cpuUsage",), _amount),
)

MEASURED_FIELDS = frozenset(field for measure in MEASURES for field in measure.fields)


def telemetry(info: Info) -> dict[str, float]:
    """Every measurement that this answer holds, by key."""
    return {measure.key: value for measure in MEASURES if (value := measure.read(info, measure.fields)) is not None}


def pool_in_use(info: Info) -> tuple[str, int] | None:
    """Host and port of the pool that gets the shares now; None when the miner names none."""
    prefix = "fallbackStratum" if _using_fallback(info, ("isUsingFallbackStratum",)) else "stratum"
    host, port = info.get(f"{prefix}URL"), number(info.get(f"{prefix}Port"))
    if not isinstance(host, str) or not host.strip() or port is None:
        return None
    return host.strip(), int(port)
