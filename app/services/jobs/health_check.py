"""The health check of a miner after a job changed it: it answers, hashes within its own baseline, and has no fault.
Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from app.clock import Moment
from app.miners.setting_table import SETTINGS, Value, has_other_value, is_fan_speed_reading, read_present_value
from app.miners.telemetry import read_telemetry
from app.miners.values import parse_number
from app.models import Reading
from app.services.configuration.drift_rules import has_restarted, is_overheated, reported_uptime
from app.services.jobs.model import CapturedState

# Health threshold after a change, for the canary and every later wave: the share of its former hashrate that a miner
# must reach. It is below 1 as a chip starts slowly.
MIN_HASHRATE_SHARE = 0.7
# Power also depends on voltage, and includes the board's own draw; a board that does not hash draws a third.
MIN_POWER_SHARE = 0.5
# `uptimeSeconds` is an integer, and the clocks of two machines differ.
BOOT_SLACK_SECONDS = 2.0

# Faults that a miner reports → the reason for the user.
_FAULTS = {
    "overheat": "The miner overheated",
    "power_fault": "The miner reports a power fault",
    "hardware_fault": "The miner reports a hardware fault",
}
# What the firmware changes when it overheats (AxeOS lowers and stores frequency and voltage, manual fan at 100 %).
OVERHEAT_KEYS = ("frequency", "coreVoltage", "autofanspeed", "manualFanSpeed")


class MinerHealth(StrEnum):
    WELL = "well"
    NOT_YET = "not yet"
    ILL = "ill"


def capture_state(info: Mapping[str, Any], keys: tuple[str, ...], **more: Any) -> CapturedState:
    """Return the miner's values of `keys` and of those that overheating may change, and its hashrate, before the job
    changes it."""
    wanted = dict.fromkeys((*keys, *OVERHEAT_KEYS))
    settings = {key: value for key in wanted if (value := _captured_value(key, info)) is not None}
    power = read_telemetry(info).get("power_watts", 0.0)
    return CapturedState(
        settings=settings, hashrate=baseline_hashrate(info), power=power, uptime=reported_uptime(info), **more
    )


def _captured_value(key: str, info: Mapping[str, Any]) -> Any:
    """Return the present value; where the fan's speed is only a reading, the nearest possible setting."""
    setting = SETTINGS[key]
    value = None if setting.secret else read_present_value(setting, info)
    return round(value) if is_fan_speed_reading(setting, info) and isinstance(value, float) else value


def baseline_hashrate(info: Mapping[str, Any]) -> float:
    """Return GH/s over ten minutes where the firmware reports it (AxeOS ≥ 2.12), else the present value; 0 without a
    hashrate."""
    values = read_telemetry(info)
    return values.get("hashrate_10m_ghs") or values.get("hashrate_ghs") or 0.0


def check_health(
    captured: CapturedState, wanted: Mapping[str, Value], info: Mapping[str, Any]
) -> tuple[MinerHealth, str]:
    """Return the miner's health by one reading after the change, and the reason. `wanted`: the settings that it
    accepted."""
    values = read_telemetry(info)
    for key, sentence in _FAULTS.items():
        if values.get(key) == 1.0:
            return MinerHealth.ILL, sentence
    lost = [key for key, value in wanted.items() if has_other_value(SETTINGS[key], value, info)]
    if lost:
        why = "The miner overheated and fell back" if is_overheated(wanted, info) else "The miner did not keep"
        return (
            MinerHealth.ILL,
            f"{why}: {', '.join(f'{key} {read_present_value(SETTINGS[key], info)}' for key in lost)}",
        )
    ratio = _frequency_ratio(captured, wanted)
    least, rate = required_hashrate(captured, wanted), values.get("hashrate_ghs", 0.0)
    if rate < least and not _draws_expected_power(captured, values, ratio):
        return MinerHealth.NOT_YET, f"It hashes at {rate:.0f} GH/s, less than the {least:.0f} GH/s to expect of it"
    return MinerHealth.WELL, ""


def required_hashrate(captured: CapturedState, wanted: Mapping[str, Value]) -> float:
    """Return the GH/s that a healthy miner has at least after the change."""
    return MIN_HASHRATE_SHARE * captured.hashrate * _frequency_ratio(captured, wanted)


def _draws_expected_power(captured: CapturedState, values: Mapping[str, float], ratio: float) -> bool:
    """Return True if the power is as expected. Firmware without averages (AxeOS ≤ 2.10) estimates its hashrate from
    shares: 0 until the first one, and noisy for a long time. Its power is a faster sign."""
    estimates = "hashrate_1m_ghs" not in values
    return estimates and 0 < MIN_POWER_SHARE * captured.power * ratio <= values.get("power_watts", 0.0)


def _frequency_ratio(captured: CapturedState, wanted: Mapping[str, Value]) -> float:
    """Return the expected change of the hashrate by the requested frequency."""
    before, after = parse_number(captured.settings.get("frequency")), parse_number(wanted.get("frequency"))
    return after / before if before and after else 1.0


def has_booted_since(moment: Moment, reading: Reading, uptime: float | None = None) -> bool | None:
    """Return whether the miner booted after `moment`, at or before which its uptime was `uptime`; None if that
    cannot be determined."""
    return has_restarted(
        uptime, reported_uptime(reading.info), moment.seconds_until(reading.moment), BOOT_SLACK_SECONDS
    )
