"""One model of a miner's numbers, whatever its firmware calls them. A measurement is a row of MEASURES.

A value is a finite number or absent. A row lists the values that a failed or missing sensor gives (`sentinels`) and the
condition under which a zero is a reading (`zero_counts`); null and "" are absent everywhere. Units follow Prometheus'
base units, except where the contract fixed those of the Node backend (GH/s, MHz, rpm).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from app.miners.dialects import NERDOS, chips_of, dialect_of

Info = Mapping[str, Any]
Fields = tuple[str, ...]
Read = Callable[[Info, Fields], float | None]
Ranges = tuple[tuple[float, float], ...]
ZeroCounts = Callable[[Info, int], bool]

_NUMERIC = re.compile(r"(?a)[+-]?\d{1,20}(\.\d{1,20})?([eE][+-]?\d{1,3})?")
_DIFFICULTY = re.compile(r"(?a)(\d{1,20}(?:\.\d{1,20})?(?:[eE][+-]?\d{1,2})?) ?([kKMGTPE]?) ?")
_DISCONNECTED = re.compile(r"not connected|disconnected|unreachable|connecting|failed", re.IGNORECASE)
_CONNECTED = re.compile(r"ipv[46]|connected", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,31}://", re.IGNORECASE)
_PORT = re.compile(r"(?a)\d{1,5}")
_NO_FAULT = frozenset({"none", "no", "ok", "0", "false", "null", "n/a"})
_FALLBACK = ("isUsingFallbackStratum",)
_MAX_POOLS = 8
_SUFFIX = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}


@dataclass(frozen=True, slots=True)
class Measure:
    """`key` is the name behind `pluto_device_`; `fields` are the firmware's names for it, newest first; `read` makes
    one number of them.

    `legacy`: the Node backend exported it too, as `<hostname>_<key>`. `sentinels`: ranges, both ends included, that
    stand for no reading. `zero_counts`: True for an answer, and a number of chips, whose 0 is a reading; None where it
    always is.
    """

    key: str
    help: str
    fields: Fields
    read: Read
    legacy: bool = False
    sentinels: Ranges = ()
    zero_counts: ZeroCounts | None = None


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


def _signed(info: Info, fields: Fields) -> float | None:
    return number(_first(info, fields))


def _hashrate(info: Info, fields: Fields = ("hashRate", "hashRate_10m")) -> float | None:
    """NerdQAxe+ of 1.0.3x has only `hashRate_10m`. A `hashRate` of 0 is a reading and no reason to fall back."""
    for field in fields:
        value = number(info.get(field))
        if value is not None and value >= 0:
            return value
    return None


def _is_idle(info: Info, chips: int) -> bool:
    """Return True if nothing is hashed, so that a power sensor can read 0."""
    return flag(info.get("miningPaused")) == 1.0 or not _hashrate(info)


def _is_cold(info: Info, chips: int) -> bool:
    """Return True if a chip can be at 0 °C: idle, and not NerdOS, whose 0 means that there is no reading."""
    return _is_idle(info, chips) and dialect_of(info) is not NERDOS


def _is_second_chip_cold(info: Info, chips: int) -> bool:
    """AxeOS 2.10 and forks say 0 without a second chip."""
    return chips > 1 and _is_cold(info, chips)


def _never(info: Info, chips: int) -> bool:
    return False


def ratio(part: float, whole: float) -> float | None:
    """A quotient, or None where it is no finite number."""
    quotient = part / whole if whole else math.inf
    return quotient if math.isfinite(quotient) else None


def _absent(info: Info, fields: Fields) -> float | None:
    """The value is derived from other measures: see `telemetry`."""
    return None


def _fan_rpm(info: Info, fields: Fields) -> float | None:
    """`fanSpeed` was the rpm up to AxeOS 2.1.3; forge-os 1.5 says the percentage there."""
    return _amount(info, fields[:-1] if _is_fan_speed_percent(info) else fields)


def _fan_percent(info: Info, fields: Fields) -> float | None:
    return _amount(info, fields if _is_fan_speed_percent(info) else fields[:-1])


def _is_fan_speed_percent(info: Info) -> bool:
    return "fanrpm" in info or "manualFanSpeed" in info


def _pool_connected(info: Info, fields: Fields) -> float | None:
    """1 if the pool in use is connected; of two pools at a time, both."""
    stated = flag(info.get(fields[0]))
    if stated is not None:
        return stated
    pools = _pools(info)
    used = (
        pools
        if _serves_two_pools(info)
        else pools[1:2]
        if _using_fallback(info, _FALLBACK) and pools[1:]
        else pools[:1]
    )
    flags = [connected for pool in used if (connected := flag(pool.get("connected"))) is not None]
    if flags:
        return min(flags)
    text = info.get(fields[1])
    if not isinstance(text, str):
        return None
    # "IPv4 (TLS)" (AxeOS 2.13), "Not Connected", "SV2: Pool unreachable".
    if _DISCONNECTED.search(text):
        return 0.0
    return 1.0 if _CONNECTED.search(text) else None


def _using_fallback(info: Info, fields: Fields) -> float | None:
    """NerdOS after v1.0.3x says it only inside `stratum`."""
    inner = info.get("stratum")
    nested = inner.get("usingFallback") if isinstance(inner, dict) else None
    return flag(info.get(fields[0], nested))


def _fault(info: Info, fields: Fields, since: str) -> float | None:
    """A fault's key is there only while it lasts; `since` is a field that came with the same release, so that silence
    means "none"."""
    stated = _first(info, fields)
    if isinstance(stated, str) and (stated := stated.strip()).lower() in _NO_FAULT:
        return 0.0
    if stated:
        return 1.0
    return 0.0 if since in info else None


# -1: the chip has no power. -128: fault of an EMC2103. 127 to 127.875: open or short at an EMC2101.
_FAILED_TEMPERATURE: Ranges = ((-1, -1), (-128, -128), (127, 127.999))

MEASURES: tuple[Measure, ...] = (
    Measure(
        "power_watts",
        "Power in W: measured input, or on TPS546 boards output plus a fixed offset",
        ("power",),
        _amount,
        True,
        zero_counts=_is_idle,
    ),
    Measure("voltage_volts", "Input voltage in V", ("voltage",), _milli, True, zero_counts=_is_idle),
    Measure(
        "current_amps",
        "Current in A: input on INA260 boards and NerdOS, output on TPS546 boards",
        ("current",),
        _milli,
        True,
    ),
    Measure("fanspeed_rpm", "Fan speed in rpm", ("fanrpm", "fanSpeedRpm", "fanSpeed"), _fan_rpm, True),
    Measure(
        "temperature_celsius",
        "Chip temperature in degrees Celsius (NerdOS: the hottest chip)",
        ("temp",),
        _signed,
        True,
        _FAILED_TEMPERATURE,
        _is_cold,
    ),
    Measure(
        "hashrate_ghs",
        "Hashrate in GH/s (over ten minutes where the firmware gives no other)",
        ("hashRate", "hashRate_10m"),
        _hashrate,
        True,
    ),
    Measure("shares_accepted", "Shares accepted since the miner's start", ("sharesAccepted",), _amount, True),
    Measure("shares_rejected", "Shares rejected since the miner's start", ("sharesRejected",), _amount, True),
    Measure("uptime_seconds", "Seconds since the miner's start", ("uptimeSeconds",), _amount, True),
    Measure("free_heap_bytes", "Free heap of the controller in bytes", ("freeHeap",), _amount, True),
    Measure("core_voltage_volts", "Core voltage that is set, in V", ("coreVoltage",), _milli, True),
    Measure("core_voltage_actual_volts", "Core voltage as measured, in V", ("coreVoltageActual",), _milli, True),
    Measure("frequency_mhz", "ASIC frequency that is set, in MHz", ("frequency",), _amount, True),
    Measure("efficiency", "Efficiency in J/TH", ("power", "hashRate"), _absent, True),
    Measure(
        "temperature1_celsius",
        "Temperature of the first chip in degrees Celsius (forge-os)",
        ("chiptemp1",),
        _signed,
        sentinels=_FAILED_TEMPERATURE,
        zero_counts=_is_cold,
    ),
    Measure(
        "temperature2_celsius",
        "Temperature of the second chip in degrees Celsius",
        ("temp2", "chiptemp2"),
        _signed,
        sentinels=_FAILED_TEMPERATURE,
        zero_counts=_is_second_chip_cold,
    ),
    Measure(
        "vr_temperature_celsius",
        "Voltage regulator temperature in degrees Celsius",
        ("vrTemp",),
        _signed,
        sentinels=_FAILED_TEMPERATURE,
        zero_counts=_never,  # boards with an INA260 have no such sensor and say 0
    ),
    Measure("fan2_speed_rpm", "Speed of the second fan in rpm", ("fan2rpm", "fanrpm2"), _amount),
    Measure(
        "fan_percent", "Fan duty in percent (before AxeOS 2.1.9: the setting)", ("fanspeed", "fanSpeed"), _fan_percent
    ),
    Measure("fan2_percent", "Duty of the second fan in percent", ("fanspeed2",), _amount),
    Measure(
        "target_temperature_celsius",
        "Temperature that the fan control aims at",
        ("temptarget", "pidTargetTemp"),
        _amount,
    ),
    Measure("hashrate_1m_ghs", "Hashrate over one minute in GH/s", ("hashRate_1m",), _amount),
    Measure("hashrate_10m_ghs", "Hashrate over ten minutes in GH/s", ("hashRate_10m",), _amount),
    Measure("hashrate_1h_ghs", "Hashrate over one hour in GH/s", ("hashRate_1h",), _amount),
    Measure("hashrate_1d_ghs", "Hashrate over one day in GH/s", ("hashRate_1d",), _amount),
    Measure(
        "expected_hashrate_ghs", "Hashrate to expect of chip and frequency, in GH/s", ("expectedHashrate",), _amount
    ),
    Measure("error_percent", "Share of wrong nonces in percent", ("errorPercentage",), _amount),
    Measure("actual_frequency_mhz", "ASIC frequency as it runs, in MHz", ("actualFrequency",), _amount),
    Measure("best_difficulty", "Best difficulty ever", ("bestDiff",), _difficulty),
    Measure("best_session_difficulty", "Best difficulty since the miner's start", ("bestSessionDiff",), _difficulty),
    Measure(
        "pool_difficulty",
        "Difficulty that the pool asks for",
        ("poolDifficulty", "stratumDiff", "stratum_difficulty"),
        _amount,
    ),
    Measure(
        "pool_connected",
        "1 while the pool in use is connected (of two pools at a time: both)",
        ("isStratumConnected", "poolConnectionInfo"),
        _pool_connected,
    ),
    Measure("pool_response_seconds", "Round trip to the pool in s", ("responseTime", "lastpingrtt"), _milli),
    Measure("using_fallback_pool", "1 while the fallback pool is in use", ("isUsingFallbackStratum",), _using_fallback),
    Measure(
        "wifi_rssi_dbm",
        "Wi-Fi signal in dBm",
        ("wifiRSSI",),
        _signed,
        sentinels=((-90, -90), (-128, -128), (0, math.inf)),
    ),
    Measure("mining_paused", "1 while mining is paused by request", ("miningPaused",), _flag),
    Measure(
        "overheat", "1 while the firmware holds the miner back after overheating", ("overheat_mode", "overheat"), _flag
    ),
    Measure("shutdown", "1 while NerdOS keeps the chips off after overheating", ("shutdown",), _flag),
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
    Measure("free_heap_internal_bytes", "Free internal heap in bytes", ("freeHeapInternal", "freeHeapInt"), _amount),
    Measure("cpu_percent", "Load of the controller in percent", ("cpuUsage",), _amount),
)

MEASURED_FIELDS = frozenset(field for measure in MEASURES for field in measure.fields)


def telemetry(info: Info, chips: int | None = None) -> dict[str, float]:
    """Return every measurement that this answer holds, by key. `chips`: number of ASICs where /api/system/asic told."""
    return telemetry_and_output(info, chips)[0]


def telemetry_and_output(info: Info, chips: int | None = None) -> tuple[dict[str, float], Output]:
    """Return the measurements, and what the device adds to the totals."""
    values: dict[str, float] = {}
    for measure in MEASURES:
        value = measure.read(info, measure.fields)
        if value is None:
            continue
        if value == 0 and measure.zero_counts and not measure.zero_counts(info, chips or chips_of(info) or 1):
            continue
        for low, high in measure.sentinels:  # not any() over a generator: it took a fifth of the time of all measures
            if low <= value <= high:
                break
        else:
            values[measure.key] = value
    output = output_of(info, values, chips)
    if output.hashrate and output.paired and (efficiency := ratio(output.power, output.hashrate / 1000)) is not None:
        values["efficiency"] = efficiency
    return values, output


@dataclass(frozen=True, slots=True)
class Output:
    """What a device adds to the totals: GH/s and W. `paired`: both are known, so that it counts for the efficiency."""

    hashrate: float
    power: float
    paired: bool


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over devices in GH/s and W; `paired_*` are those of the devices of which both are known."""

    hashrate: float
    power: float
    paired_hashrate: float
    paired_power: float


def output_of(info: Info, values: Mapping[str, float], chips: int | None = None) -> Output:
    """Return what a device adds to the totals. An implausible hashrate adds nothing.

    A NerdOS CAN master reports the hashrate of its slaves as its own, but only its own power: `can.fleetPower` is that
    of all, and without it there is no efficiency.
    """
    hashrate, power = values.get("hashrate_ghs"), values.get("power_watts")
    if is_implausible_hashrate(info, chips):
        hashrate = None
    paired = hashrate is not None and power is not None
    if is_can_master(info):
        fleet_power = number(info["can"].get("fleetPower"))
        if fleet_power is not None and fleet_power > 0:
            power, paired = fleet_power, hashrate is not None
        else:
            paired = False
    return Output(hashrate or 0.0, power or 0.0, paired)


def fleet_totals(outputs: Iterable[Output]) -> Totals:
    """Return the sums of `outputs`."""
    known = list(outputs)
    paired = [output for output in known if output.paired]
    return Totals(
        sum(output.hashrate for output in known),
        sum(output.power for output in known),
        sum(output.hashrate for output in paired),
        sum(output.power for output in paired),
    )


def is_can_master(info: Info) -> bool:
    """Return True if the hashrate includes that of slaves on the CAN bus (NerdOS 1.1)."""
    can = info.get("can")
    return isinstance(can, dict) and bool(can.get("enabled", "fleetPower" in can))


def is_implausible_hashrate(info: Info, chips: int | None = None) -> bool:
    """Return True for a hashrate above three times frequency × cores × chips (953 PH/s were seen after a resume).

    False where the answer does not say what to expect, and for a CAN master, whose slaves are not in the product.
    """
    hashrate = _hashrate(info)
    if not hashrate or is_can_master(info):
        return False
    stated = number(info.get("expectedHashrate")) or 0.0
    if hashrate <= 3 * stated:  # the firmware's own product, where it gives one
        return False
    frequency, cores = number(info.get("frequency")), number(info.get("smallCoreCount"))
    # Where the two answers differ, the larger number of chips: no healthy miner is left out.
    known_chips = max(chips or 0, chips_of(info) or 0)
    expected = frequency * cores * known_chips / 1000 if frequency and cores else 0.0
    return 0 < 3 * (expected or stated) < hashrate


def status_detail(info: Info) -> str | None:
    """Return a sentence on why a miner that answers does not hash; None where it gives no reason."""
    if flag(info.get("shutdown")) == 1.0:
        return "The miner shut down its chips after overheating: check fan and airflow, then restart it"
    return None


def pool_in_use(info: Info) -> tuple[str, int] | None:
    """Host and port of the pool that gets the shares now, of two at a time the first; None when the miner names
    none."""
    fallback = _using_fallback(info, _FALLBACK) and not _serves_two_pools(info)
    return _pool_address(info, "fallbackStratum" if fallback else "stratum")


def pool_shares(info: Info) -> list[tuple[tuple[str, int] | None, float | None, float | None]]:
    """Return address, accepted and rejected shares of each pool of a miner that serves two at a time (NerdOS 1.1).

    Empty for one that does not: its shares are those of the whole answer.
    """
    if not _serves_two_pools(info):
        return []
    pools = _pools(info)
    if not any(number(pool.get("accepted")) is not None for pool in pools):
        return []
    addresses = (_pool_address(info, "stratum"), _pool_address(info, "fallbackStratum"))
    return [
        (
            pool_address(pool.get("host") or pool.get("url"), pool.get("port"))
            or (addresses[at] if at < len(addresses) else None),
            _amount(pool, ("accepted",)),
            _amount(pool, ("rejected",)),
        )
        for at, pool in enumerate(pools)
    ]


def _serves_two_pools(info: Info) -> bool:
    inner = info.get("stratum")
    return isinstance(inner, dict) and number(inner.get("activePoolMode")) == 1 and len(_pools(info)) > 1


def _pools(info: Info) -> list[dict[str, Any]]:
    inner = info.get("stratum")
    pools = inner.get("pools") if isinstance(inner, dict) else None
    return [pool if isinstance(pool, dict) else {} for pool in pools[:_MAX_POOLS]] if isinstance(pools, list) else []


def _pool_address(info: Info, prefix: str) -> tuple[str, int] | None:
    return pool_address(info.get(f"{prefix}URL"), info.get(f"{prefix}Port"))


def pool_address(url: object, port: object) -> tuple[str, int] | None:
    """Return host and port of a pool, None where either is unknown.

    TNA-OS and users write scheme and port into the URL: the scheme, a path and a user are dropped, the host is in lower
    case, an IPv6 address in brackets, and the port of the URL wins.
    """
    if not isinstance(url, str):
        return None
    scheme = _SCHEME.match(text := url.strip())
    host = text[scheme.end() :] if scheme else text
    host = host.split("/", 1)[0].rpartition("@")[2].lower()
    inside, bracket, after = host.partition("]")
    if bracket:
        host, stated = f"{inside}]", after.removeprefix(":")
    elif host.count(":") > 1:
        host, stated = f"[{host}]", ""
    else:
        host, _, stated = host.partition(":")
    chosen = number(stated) if _PORT.fullmatch(stated) and int(stated) else number(port)
    return None if not host or chosen is None else (host, int(chosen))
