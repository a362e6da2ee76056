"""Sum hashrate and power over devices, without implausible values and without counting CAN slaves twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.miners.dialects import count_chips
from app.miners.values import Info, parse_number, read_hashrate


@dataclass(frozen=True, slots=True)
class DeviceOutput:
    """The part of one device in the fleet's totals, in GH/s and W. `paired`: both are known, so it counts for the
    efficiency."""

    hashrate: float
    power: float
    paired: bool


@dataclass(frozen=True, slots=True)
class FleetTotals:
    """Sums over devices in GH/s and W. `paired_*` include only devices with a known hashrate and a known power."""

    hashrate: float
    power: float
    paired_hashrate: float
    paired_power: float


def compute_output(info: Info, values: Mapping[str, float], chips: int | None = None) -> DeviceOutput:
    """Return the device's part in the totals. An implausible hashrate counts as 0.

    A NerdOS CAN master reports the hashrate of its slaves as its own, but only its own power. `can.fleetPower` is the
    power of all; without it the device does not count for the efficiency.
    """
    hashrate, power = values.get("hashrate_ghs"), values.get("power_watts")
    if is_implausible_hashrate(info, chips):
        hashrate = None
    paired = hashrate is not None and power is not None
    if is_can_master(info):
        fleet_power = parse_number(info["can"].get("fleetPower"))
        if fleet_power is not None and fleet_power > 0:
            power, paired = fleet_power, hashrate is not None
        else:
            paired = False
    return DeviceOutput(hashrate or 0.0, power or 0.0, paired)


def sum_outputs(outputs: Iterable[DeviceOutput]) -> FleetTotals:
    known = list(outputs)
    paired = [output for output in known if output.paired]
    return FleetTotals(
        sum(output.hashrate for output in known),
        sum(output.power for output in known),
        sum(output.hashrate for output in paired),
        sum(output.power for output in paired),
    )


def is_can_master(info: Info) -> bool:
    """Return True if the device's hashrate includes that of slaves on its CAN bus (NerdOS 1.1)."""
    can = info.get("can")
    return isinstance(can, dict) and bool(can.get("enabled", "fleetPower" in can))


def is_implausible_hashrate(info: Info, chips: int | None = None) -> bool:
    """Return True for a hashrate above three times frequency × cores × chips (953 PH/s were seen after a resume).

    Return False if the answer lacks these fields, and for a CAN master: the product does not include its slaves.
    """
    hashrate = read_hashrate(info)
    if not hashrate or is_can_master(info):
        return False
    stated = parse_number(info.get("expectedHashrate")) or 0.0
    if hashrate <= 3 * stated:  # the firmware's own product, if it reports one
        return False
    return 0 < 3 * (multiply_cores(info, chips) or stated) < hashrate


def multiply_cores(info: Info, chips: int | None = None) -> float:
    """Return frequency × cores × chips in GH/s, the hashrate to expect of one device; 0.0 if one of them is unknown."""
    frequency, cores = parse_number(info.get("frequency")), parse_number(info.get("smallCoreCount"))
    # /api/system/asic and /api/system/info may differ: the larger number excludes no healthy miner.
    known_chips = max(chips or 0, count_chips(info) or 0)
    return frequency * cores * known_chips / 1000 if frequency and cores else 0.0
