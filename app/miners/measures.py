"""The measurements of a device, one row each, independent of the names that its firmware gives them.

A value is a finite number or absent. A row lists the values that a failed or missing sensor gives (`sentinels`) and the
condition under which a zero is a reading (`zero_counts`); null and "" are absent everywhere. Units follow Prometheus'
base units, except where the contract fixed those of the Node backend (GH/s, MHz, rpm).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from app.miners.dialects import NERDOS, detect_dialect
from app.miners.pools import DIFFICULTY_FIELDS, read_fallback_in_use, read_pool_connected
from app.miners.values import (
    Fields,
    Info,
    find_first_value,
    parse_flag,
    read_amount,
    read_difficulty,
    read_flag,
    read_hashrate,
    read_milli,
    read_number,
)

Read = Callable[[Info, Fields], float | None]
Ranges = tuple[tuple[float, float], ...]
ZeroCounts = Callable[[Info, int], bool]


class Recorded(StrEnum):
    """How the history keeps a measurement over a span of time. `GAUGE`: minimum, mean and maximum. `COUNTER`: the
    increase, and the last total; the firmware counts from its start. `LAST`: the last value."""

    GAUGE = "gauge"
    COUNTER = "counter"
    LAST = "last"


_NO_FAULT = frozenset({"none", "no", "ok", "0", "false", "null", "n/a"})


@dataclass(frozen=True, slots=True)
class Measure:
    """One measurement, exported as `pluto_device_<key>`.

    `fields`: the firmware's names for it, newest first. `read`: makes one number of these fields, or None. `legacy`:
    a version of the Node backend exports it too, as `<hostname>_<key>`. `sentinels`: ranges, both ends included, that
    mean "no reading". `zero_counts`: returns True if a 0 is a reading, given the answer and the number of chips; None
    if a 0 always is. `recorded`: how the history keeps it, None if it does not. `summed`: the history also keeps its
    sum over the fleet and over each tag.
    """

    key: str
    help: str
    fields: Fields
    read: Read
    legacy: bool = False
    sentinels: Ranges = ()
    zero_counts: ZeroCounts | None = None
    recorded: Recorded | None = None
    summed: bool = False


def _is_idle(info: Info, chips: int) -> bool:
    """Return True if the device does not hash, so that a power sensor can read 0."""
    return parse_flag(info.get("miningPaused")) == 1.0 or not read_hashrate(info)


def _is_cold(info: Info, chips: int) -> bool:
    """Return True if a chip can be at 0 °C: the device is idle, and not NerdOS, where 0 means "no reading"."""
    return _is_idle(info, chips) and detect_dialect(info) is not NERDOS


def _is_second_chip_cold(info: Info, chips: int) -> bool:
    """Return True if the second chip exists and can be at 0 °C. AxeOS 2.10 and forks report 0 without one."""
    return chips > 1 and _is_cold(info, chips)


def _has_no_zero(info: Info, chips: int) -> bool:
    return False


def _read_nothing(info: Info, fields: Fields) -> float | None:
    """Return None: `read_telemetry` computes the value from other measurements."""
    return None


def _read_fan_rpm(info: Info, fields: Fields) -> float | None:
    """Return the rpm. It was `fanSpeed` up to AxeOS 2.1.3; in forge-os 1.5 that is the percentage."""
    return read_amount(info, fields[:-1] if _is_fan_speed_percent(info) else fields)


def _read_fan_percent(info: Info, fields: Fields) -> float | None:
    return read_amount(info, fields if _is_fan_speed_percent(info) else fields[:-1])


def _is_fan_speed_percent(info: Info) -> bool:
    return "fanrpm" in info or "manualFanSpeed" in info


def _read_fault(info: Info, fields: Fields, since: str) -> float | None:
    """Return 1.0 if the firmware reports a fault, else 0.0, or None if the firmware does not report this fault.

    The key of a fault is in the answer only during the fault. `since`: a field that the same AxeOS release introduced;
    if the answer has it, a missing key means "no fault".
    """
    stated = find_first_value(info, fields)
    if isinstance(stated, str) and (stated := stated.strip()).lower() in _NO_FAULT:
        return 0.0
    if stated:
        return 1.0
    return 0.0 if since in info else None


# -1: the chip has no power. -128: fault of an EMC2103. 127 to 127.875: open or short circuit at an EMC2101.
_FAILED_TEMPERATURE: Ranges = ((-1, -1), (-128, -128), (127, 127.999))

# The device metrics: a new row here is a new metric.
MEASURES: tuple[Measure, ...] = (
    Measure(
        "power_watts",
        "Power in W: measured input, or on TPS546 boards output plus a fixed offset",
        ("power",),
        read_amount,
        True,
        zero_counts=_is_idle,
        recorded=Recorded.GAUGE,
        summed=True,
    ),
    Measure(
        "voltage_volts",
        "Input voltage in V",
        ("voltage",),
        read_milli,
        True,
        zero_counts=_is_idle,
        recorded=Recorded.GAUGE,
    ),
    Measure(
        "current_amps",
        "Current in A: input on INA260 boards and NerdOS, output on TPS546 boards",
        ("current",),
        read_milli,
        True,
        recorded=Recorded.LAST,
    ),
    Measure(
        "fanspeed_rpm",
        "Fan speed in rpm",
        ("fanrpm", "fanSpeedRpm", "fanSpeed"),
        _read_fan_rpm,
        True,
        recorded=Recorded.GAUGE,
    ),
    Measure(
        "temperature_celsius",
        "Chip temperature in degrees Celsius (NerdOS: the hottest chip)",
        ("temp",),
        read_number,
        True,
        _FAILED_TEMPERATURE,
        _is_cold,
        recorded=Recorded.GAUGE,
    ),
    Measure(
        "hashrate_ghs",
        "Hashrate in GH/s (over ten minutes where the firmware gives no other)",
        ("hashRate", "hashRate_10m"),
        read_hashrate,
        True,
        recorded=Recorded.GAUGE,
        summed=True,
    ),
    Measure(
        "shares_accepted",
        "Shares accepted since the miner's start",
        ("sharesAccepted",),
        read_amount,
        True,
        recorded=Recorded.COUNTER,
        summed=True,
    ),
    Measure(
        "shares_rejected",
        "Shares rejected since the miner's start",
        ("sharesRejected",),
        read_amount,
        True,
        recorded=Recorded.COUNTER,
        summed=True,
    ),
    Measure(
        "uptime_seconds",
        "Seconds since the miner's start",
        ("uptimeSeconds",),
        read_amount,
        True,
        recorded=Recorded.LAST,
    ),
    Measure(
        "free_heap_bytes",
        "Free heap of the controller in bytes",
        ("freeHeap",),
        read_amount,
        True,
        recorded=Recorded.GAUGE,
    ),
    Measure(
        "core_voltage_volts",
        "Core voltage that is set, in V",
        ("coreVoltage",),
        read_milli,
        True,
        recorded=Recorded.LAST,
    ),
    Measure(
        "core_voltage_actual_volts",
        "Core voltage as measured, in V",
        ("coreVoltageActual",),
        read_milli,
        True,
        recorded=Recorded.GAUGE,
    ),
    Measure(
        "frequency_mhz",
        "ASIC frequency that is set, in MHz",
        ("frequency",),
        read_amount,
        True,
        recorded=Recorded.GAUGE,
    ),
    Measure("efficiency", "Efficiency in J/TH", ("power", "hashRate"), _read_nothing, True, recorded=Recorded.GAUGE),
    Measure(
        "temperature1_celsius",
        "Temperature of the first chip in degrees Celsius (forge-os)",
        ("chiptemp1",),
        read_number,
        sentinels=_FAILED_TEMPERATURE,
        zero_counts=_is_cold,
    ),
    Measure(
        "temperature2_celsius",
        "Temperature of the second chip in degrees Celsius",
        ("temp2", "chiptemp2"),
        read_number,
        sentinels=_FAILED_TEMPERATURE,
        zero_counts=_is_second_chip_cold,
        recorded=Recorded.GAUGE,
    ),
    Measure(
        "vr_temperature_celsius",
        "Voltage regulator temperature in degrees Celsius",
        ("vrTemp",),
        read_number,
        True,
        _FAILED_TEMPERATURE,
        _has_no_zero,  # boards with an INA260 have no such sensor and report 0
        recorded=Recorded.GAUGE,
    ),
    Measure("fan2_speed_rpm", "Speed of the second fan in rpm", ("fan2rpm", "fanrpm2"), read_amount),
    Measure(
        "fan_percent",
        "Fan duty in percent (before AxeOS 2.1.9: the setting)",
        ("fanspeed", "fanSpeed"),
        _read_fan_percent,
    ),
    Measure("fan2_percent", "Duty of the second fan in percent", ("fanspeed2",), read_amount),
    Measure(
        "target_temperature_celsius",
        "Temperature that the fan control aims at",
        ("temptarget", "pidTargetTemp"),
        read_amount,
    ),
    Measure("hashrate_1m_ghs", "Hashrate over one minute in GH/s", ("hashRate_1m",), read_amount),
    Measure("hashrate_10m_ghs", "Hashrate over ten minutes in GH/s", ("hashRate_10m",), read_amount),
    Measure("hashrate_1h_ghs", "Hashrate over one hour in GH/s", ("hashRate_1h",), read_amount),
    Measure("hashrate_1d_ghs", "Hashrate over one day in GH/s", ("hashRate_1d",), read_amount),
    Measure(
        "expected_hashrate_ghs",
        "Hashrate to expect of chip and frequency, in GH/s",
        ("expectedHashrate",),
        read_amount,
        recorded=Recorded.GAUGE,
        summed=True,
    ),
    Measure(
        "error_percent", "Share of wrong nonces in percent", ("errorPercentage",), read_amount, recorded=Recorded.GAUGE
    ),
    Measure("actual_frequency_mhz", "ASIC frequency as it runs, in MHz", ("actualFrequency",), read_amount),
    Measure("best_difficulty", "Best difficulty ever", ("bestDiff",), read_difficulty),
    Measure(
        "best_session_difficulty", "Best difficulty since the miner's start", ("bestSessionDiff",), read_difficulty
    ),
    Measure(
        "pool_difficulty",
        "Difficulty that the pool asks for",
        DIFFICULTY_FIELDS,
        read_amount,
        recorded=Recorded.LAST,
    ),
    Measure(
        "pool_connected",
        "1 while the pool in use is connected (of two pools at a time: both)",
        ("isStratumConnected", "poolConnectionInfo"),
        read_pool_connected,
    ),
    Measure(
        "pool_response_seconds",
        "Round trip to the pool in s",
        ("responseTime", "lastpingrtt"),
        read_milli,
        recorded=Recorded.GAUGE,
    ),
    Measure(
        "using_fallback_pool", "1 while the fallback pool is in use", ("isUsingFallbackStratum",), read_fallback_in_use
    ),
    Measure(
        "wifi_rssi_dbm",
        "Wi-Fi signal in dBm",
        ("wifiRSSI",),
        read_number,
        sentinels=((-90, -90), (-128, -128), (0, math.inf)),
        recorded=Recorded.GAUGE,
    ),
    Measure("mining_paused", "1 while mining is paused by request", ("miningPaused",), read_flag),
    Measure(
        "overheat",
        "1 while the firmware holds the miner back after overheating",
        ("overheat_mode", "overheat"),
        read_flag,
    ),
    Measure("shutdown", "1 while NerdOS keeps the chips off after overheating", ("shutdown",), read_flag),
    Measure(
        "power_fault",
        "1 while the firmware reports a power fault",
        ("power_fault",),
        partial(_read_fault, since="apEnabled"),
    ),
    Measure(
        "hardware_fault",
        "1 while the firmware reports a hardware fault",
        ("hardware_fault",),
        partial(_read_fault, since="miningPaused"),
    ),
    Measure("blocks_found", "Blocks found", ("blockFound", "foundBlocks"), read_amount),
    Measure("max_power_watts", "Power limit of the board in W", ("maxPower",), read_amount),
    Measure(
        "free_heap_internal_bytes",
        "Free internal heap in bytes",
        ("freeHeapInternal", "freeHeapInt"),
        read_amount,
        True,
        recorded=Recorded.LAST,
    ),
    Measure(
        "free_heap_spiram_bytes",
        "Free heap in external memory in bytes",
        ("freeHeapSpiram",),
        read_amount,
        True,
        recorded=Recorded.LAST,
    ),
    Measure("cpu_percent", "Load of the controller in percent", ("cpuUsage",), read_amount),
)

MEASURED_FIELDS = frozenset(field for measure in MEASURES for field in measure.fields)
