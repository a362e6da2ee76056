"""Whether a miner is well after a job touched it: back, hashing within its own baseline, and not ill. Pure."""

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

# A chip that just started is not at its best yet.
LEAST_SHARE = 0.7
# Power follows voltage, too, and has the board's own draw in it; a board that does not hash takes a third of it.
LEAST_POWER = 0.5
# `uptimeSeconds` is whole, and the clocks of two machines do not run alike.
BOOT_SLACK_SECONDS = 2.0

# What a miner reports while it holds itself back → what to tell the user.
_ILLS = {
    "overheat": "The miner overheated",
    "power_fault": "The miner reports a power fault",
    "hardware_fault": "The miner reports a hardware fault",
}
# What an overheating firmware changes by itself (AxeOS lowers and keeps frequency and voltage, fan by hand at 100 %).
OVERHEAT_KEYS = ("frequency", "coreVoltage", "autofanspeed", "manualFanSpeed")


class Health(StrEnum):
    WELL = "well"
    NOT_YET = "not yet"
    ILL = "ill"


def capture(info: Mapping[str, Any], keys: tuple[str, ...], **more: Any) -> Captured:
    """What the miner runs of `keys`, and of what overheating could change, and how fast it hashes."""
    wanted = dict.fromkeys((*keys, *OVERHEAT_KEYS))
    settings = {key: value for key in wanted if (value := _captured(key, info)) is not None}
    power = telemetry(info).get("power_watts", 0.0)
    return Captured(settings=settings, hashrate=baseline(info), power=power, uptime=uptime_of(info), **more)


def _captured(key: str, info: Mapping[str, Any]) -> Any:
    """Where the fan's speed is only a reading, it is the nearest that a setting can be."""
    setting = SETTINGS[key]
    value = None if setting.secret else present(setting, info)
    return round(value) if fan_is_a_reading(setting, info) and isinstance(value, float) else value


def baseline(info: Mapping[str, Any]) -> float:
    """GH/s over ten minutes where the firmware knows it (AxeOS ≥ 2.12), else now; 0 for one that does not hash."""
    values = telemetry(info)
    return values.get("hashrate_10m_ghs") or values.get("hashrate_ghs") or 0.0


def judge(captured: Captured, wanted: Mapping[str, Value], info: Mapping[str, Any]) -> tuple[Health, str]:
    """How the miner is by one reading after the act, and why in a sentence. `wanted`: the settings that it took."""
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
    """Firmware without averages (AxeOS ≤ 2.10) estimates its hashrate from its shares: 0 until the first, and noisy for
    long. Its power tells sooner."""
    estimates = "hashrate_1m_ghs" not in values
    return estimates and 0 < LEAST_POWER * captured.power * ratio <= values.get("power_watts", 0.0)


def _ratio(captured: Captured, wanted: Mapping[str, Value]) -> float:
    """How the hashrate is to change with the frequency that was asked for."""
    before, after = number(captured.settings.get("frequency")), number(wanted.get("frequency"))
    return after / before if before and after else 1.0


def booted_since(moment: Moment, reading: Reading, uptime: float | None = None) -> bool | None:
    """Whether the miner started after `moment`, at or before which its uptime was `uptime`; None where it cannot be
    told."""
    return has_restarted(uptime, uptime_of(reading.info), moment.seconds_until(reading.moment), BOOT_SLACK_SECONDS)
