"""The health check of a miner after a job changed it: it answers, hashes within its own baseline, and has no fault.
Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from app.clock import Moment
from app.miners.settings import SETTINGS, Value, fan_is_a_reading, present, runs_otherwise
from app.miners.telemetry import telemetry
from app.miners.values import number
from app.models import Reading
from app.services.configuration.drift_rules import has_restarted, overheated, uptime_of
from app.services.jobs.model import Captured

# Health threshold of a canary: the share of its former hashrate that a miner must reach, as a chip starts slowly.
LEAST_SHARE = 0.7
# Power also depends on voltage, and includes the board's own draw; a board that does not hash draws a third.
LEAST_POWER = 0.5
# `uptimeSeconds` is an integer, and the clocks of two machines differ.
BOOT_SLACK_SECONDS = 2.0

# Faults that a miner reports → the reason for the user.
_ILLS = {
    "overheat": "The miner overheated",
    "power_fault": "The miner reports a power fault",
    "hardware_fault": "The miner reports a hardware fault",
}
# What the firmware changes when it overheats (AxeOS lowers and stores frequency and voltage, manual fan at 100 %).
OVERHEAT_KEYS = ("frequency", "coreVoltage", "autofanspeed", "manualFanSpeed")


class Health(StrEnum):
    WELL = "well"
    NOT_YET = "not yet"
    ILL = "ill"


def capture(info: Mapping[str, Any], keys: tuple[str, ...], **more: Any) -> Captured:
    """Return the miner's values of `keys` and of those that overheating may change, and its hashrate, before the job
    changes it."""
    wanted = dict.fromkeys((*keys, *OVERHEAT_KEYS))
    settings = {key: value for key in wanted if (value := _captured(key, info)) is not None}
    power = telemetry(info).get("power_watts", 0.0)
    return Captured(settings=settings, hashrate=baseline(info), power=power, uptime=uptime_of(info), **more)


def _captured(key: str, info: Mapping[str, Any]) -> Any:
    """Return the present value; where the fan's speed is only a reading, the nearest possible setting."""
    setting = SETTINGS[key]
    value = None if setting.secret else present(setting, info)
    return round(value) if fan_is_a_reading(setting, info) and isinstance(value, float) else value


def baseline(info: Mapping[str, Any]) -> float:
    """Return GH/s over ten minutes where the firmware reports it (AxeOS ≥ 2.12), else the present value; 0 without a
    hashrate."""
    values = telemetry(info)
    return values.get("hashrate_10m_ghs") or values.get("hashrate_ghs") or 0.0


def judge(captured: Captured, wanted: Mapping[str, Value], info: Mapping[str, Any]) -> tuple[Health, str]:
    """Return the miner's health by one reading after the change, and the reason. `wanted`: the settings that it
    accepted."""
    values = telemetry(info)
    for key, sentence in _ILLS.items():
        if values.get(key) == 1.0:
            return Health.ILL, sentence
    lost = [key for key, value in wanted.items() if runs_otherwise(SETTINGS[key], value, info)]
    if lost:
        why = "The miner overheated and fell back" if overheated(wanted, info) else "The miner did not keep"
        return Health.ILL, f"{why}: {', '.join(f'{key} {present(SETTINGS[key], info)}' for key in lost)}"
    ratio = _ratio(captured, wanted)
    least, rate = LEAST_SHARE * captured.hashrate * ratio, values.get("hashrate_ghs", 0.0)
    if rate < least and not _works(captured, values, ratio):
        return Health.NOT_YET, f"It hashes at {rate:.0f} GH/s, less than the {least:.0f} GH/s to expect of it"
    return Health.WELL, ""


def _works(captured: Captured, values: Mapping[str, float], ratio: float) -> bool:
    """Return True if the power is as expected. Firmware without averages (AxeOS ≤ 2.10) estimates its hashrate from
    shares: 0 until the first one, and noisy for a long time. Its power is a faster sign."""
    estimates = "hashrate_1m_ghs" not in values
    return estimates and 0 < LEAST_POWER * captured.power * ratio <= values.get("power_watts", 0.0)


def _ratio(captured: Captured, wanted: Mapping[str, Value]) -> float:
    """Return the expected change of the hashrate by the requested frequency."""
    before, after = number(captured.settings.get("frequency")), number(wanted.get("frequency"))
    return after / before if before and after else 1.0


def booted_since(moment: Moment, reading: Reading, uptime: float | None = None) -> bool | None:
    """Return whether the miner booted after `moment`, at or before which its uptime was `uptime`; None if that
    cannot be determined."""
    return has_restarted(uptime, uptime_of(reading.info), moment.seconds_until(reading.moment), BOOT_SLACK_SECONDS)
