"""The `fans` array of NerdOS' PATCH: by position, two fans, and a member that is left out stays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .patch_readers import IGNORED, is_real, is_u16

MEMBERS = ("mode", "manualSpeed", "overheatTemp")
# The flat settings that the first fan shares.
FLAT = {"mode": "autofanspeed", "manualSpeed": "manualFanSpeed"}


def read_fan_changes(given: Any, fans: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the changes of the stored settings that a `fans` array asks for."""
    changed = [{**fan, "pid": dict(fan["pid"])} for fan in fans]
    flat: dict[str, Any] = {}
    for at, (fan, item) in enumerate(zip(changed, given if isinstance(given, list) else [], strict=False)):
        if not isinstance(item, dict):
            continue
        named = {
            key: value for key in ("mode", "manualSpeed", "overheatTemp") if (value := _u16(item, key)) is not None
        }
        fan.update(named)
        inner = item.get("pid")
        pid: Mapping[str, Any] = inner if isinstance(inner, dict) else {}
        target = _u16(pid, "targetTemp")
        reals = {key: pid[key] for key in ("p", "i", "d") if is_real(pid.get(key)) is not IGNORED}
        fan["pid"].update({**reals, **({} if target is None else {"targetTemp": target})})
        if at == 0:
            flat = {FLAT[key]: value for key, value in named.items() if key in FLAT}
            flat |= {} if target is None else {"temptarget": target}
    return {**flat, "fans": changed}


def _u16(item: Mapping[str, Any], key: str) -> Any:
    value = is_u16(item.get(key))
    return None if value is IGNORED else value
