"""The `fans` array in PATCH /api/system of NerdOS.

The position in the array selects one of two fans. Omitted members keep their values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .patch_readers import IGNORED, read_nerd_real, read_nerd_u16

MEMBERS = ("mode", "manualSpeed", "overheatTemp")
PID_FACTORS = ("p", "i", "d")
# Flat settings that repeat the members of the first fan.
FLAT_KEYS = {"mode": "autofanspeed", "manualSpeed": "manualFanSpeed"}


def read_fan_changes(value: Any, fans: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the changes of the stored settings that a `fans` array asks for."""
    changed = [{**fan, "pid": dict(fan["pid"])} for fan in fans]
    flat: dict[str, Any] = {}
    for position, (fan, item) in enumerate(zip(changed, value if isinstance(value, list) else [], strict=False)):
        if not isinstance(item, dict):
            continue
        members = {key: item[key] for key in MEMBERS if _is_u16(item.get(key))}
        pid = _read_pid(item.get("pid"))
        fan.update(members)
        fan["pid"].update(pid)
        if position == 0:
            flat = {FLAT_KEYS[key]: item for key, item in members.items() if key in FLAT_KEYS}
            flat |= {"temptarget": pid["targetTemp"]} if "targetTemp" in pid else {}
    return {**flat, "fans": changed}


def _read_pid(value: Any) -> dict[str, Any]:
    """Return the valid members of a `pid` object."""
    pid: Mapping[str, Any] = value if isinstance(value, dict) else {}
    factors = {key: pid[key] for key in PID_FACTORS if read_nerd_real(pid.get(key)) is not IGNORED}
    target = {"targetTemp": pid["targetTemp"]} if _is_u16(pid.get("targetTemp")) else {}
    return {**factors, **target}


def _is_u16(value: Any) -> bool:
    return read_nerd_u16(value) is not IGNORED
