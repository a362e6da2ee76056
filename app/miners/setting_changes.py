"""What of a wish differs from what a miner runs. Pure: no miner is asked.

A wish has two parts. `values` were asked for one by one. An `echo` is a whole device object that a client read, edited
and sent back, so of it only what differs counts, and what is also a reading never does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.miners.dialects import (
    AXEOS_2_7,
    AXEOS_2_10,
    AXEOS_2_15,
    AXEOS_BEFORE_2_7,
    NERDOS,
    Dialect,
    dialect_of,
)
from app.miners.setting_kinds import MASK, Value
from app.miners.settings import (
    ALIASES,
    FALLBACK_KEYS,
    POOL_KEYS,
    SETTINGS,
    WIFI_KEYS,
    Change,
    Setting,
    fan_is_a_reading,
    present,
    runs,
    same,
)
from app.miners.telemetry import flag

Info = Mapping[str, Any]

POOLS = frozenset((*POOL_KEYS, *FALLBACK_KEYS))
# What overheating changes. A client's object from before it would undo that.
_HEAT = frozenset({"frequency", "coreVoltage", "autofanspeed", "manualFanSpeed"})

WIFI = "Wi-Fi is not changed from here, where a typo would lose the miner: change it on the miner's own page"
UNKNOWN_HERE = "This firmware reports no such setting, so it was not sent"
FAN_IS_AUTOMATIC = "Not used while the fan regulates itself, so it was not sent"
COOLED = "The miner overheated after this was loaded, and changed it: load the device again"


@dataclass(slots=True)
class Difference:
    """`changes`: to be written. `problems`: sentences by key; if there is one, nothing is to be written. `unchanged`:
    what was asked for and runs already. `unsent`: key → status, value and why it is not sent to this miner."""

    changes: list[Change] = field(default_factory=list)
    problems: dict[str, list[str]] = field(default_factory=dict)
    unchanged: dict[str, Value] = field(default_factory=dict)
    unsent: dict[str, tuple[str, Any, str]] = field(default_factory=dict)


def difference(values: Mapping[str, Any], echo: Mapping[str, Any], info: Info) -> Difference:
    """`values` and `echo` against the miner's own word. Where both name a setting, the echo's wins if it differs from
    what the miner runs, for then somebody edited it; but of a pool the values win.

    A value equal to the present one is not judged: clients send odd values back that the miner itself had.
    """
    found = Difference()
    dialect = dialect_of(info)
    asked = _named(values, dialect)
    edited = {key: value for key, value in _echoed(echo, info).items() if key not in asked or key not in POOLS}
    edited = {key: value for key, value in edited.items() if not _is_present(SETTINGS[key], value, info)}
    wanted = {**asked, **edited}
    by_hand = same(wanted.get("autofanspeed", info.get("autofanspeed")), 0)
    for key, value in wanted.items():
        if key in edited and key in _HEAT and _overheated_since(echo, info):
            found.problems[key] = [COOLED]
        else:
            _weigh(found, SETTINGS[key], value, info, dialect, by_hand=by_hand)
    _refuse_wifi(found, {**echo, **values}, info)
    return found


def normal(setting: Setting, value: Any, dialect: Dialect) -> Value:
    """The value as this generation of firmware wants it. Raises ValueError with what would be right."""
    adapt = _ADAPTATIONS.get((dialect, setting.key))
    judged = setting.kind(value)
    return adapt(judged) if adapt else judged


def _weigh(found: Difference, setting: Setting, value: Any, info: Info, dialect: Dialect, *, by_hand: bool) -> None:
    if setting.secret and value in (None, "", MASK):
        return
    if _is_present(setting, value, info):
        found.unchanged[setting.key] = present(setting, info)
        return
    try:
        wanted = normal(setting, value, dialect)
    except ValueError as error:
        found.problems[setting.key] = [str(error)]
        return
    actual = present(setting, info)
    if (why := _unsendable(setting, info, dialect, by_hand=by_hand)) is not None:
        status, reason = why
        found.unsent[setting.key] = (status, None if setting.secret else wanted, reason)
    elif not setting.secret and (runs(setting, wanted, info) or (wanted == "" and actual is None)):
        found.unchanged[setting.key] = wanted
    else:
        found.changes.append(Change(setting, wanted, actual))


def _named(values: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    """The settings among `values`, by our names for them."""
    known = {key: value for key, value in values.items() if key in SETTINGS}
    other = {key: value for alias, key in ALIASES.items() if (value := values.get(alias)) is not None}
    return {**other, **known}


def _echoed(echo: Mapping[str, Any], info: Info) -> dict[str, Any]:
    """The settings among what a client sent back. null is how firmware says that it does not know, and "" how we fill
    `stratumUser` in; `overheat_mode` is a reading there, and so is `fanspeed`, unless it is all there is for a fan that
    is set by hand."""
    chosen = {key: value for key, value in _named(echo, dialect_of(info)).items() if value is not None}
    chosen.pop("overheat_mode", None)
    if "manualFanSpeed" not in echo and not _fan_by_hand(echo, info):
        chosen.pop("manualFanSpeed", None)
    if chosen.get("stratumUser") == "":
        del chosen["stratumUser"]
    return {key: value for key, value in chosen.items() if _reported(SETTINGS[key], info) or SETTINGS[key].secret}


def _fan_by_hand(echo: Mapping[str, Any], info: Info) -> bool:
    return "manualFanSpeed" not in info and same(echo.get("autofanspeed", info.get("autofanspeed")), 0)


def _is_present(setting: Setting, value: Any, info: Info) -> bool:
    """Whether it is what the miner says, before any judgement."""
    return not setting.secret and present(setting, info) is not None and runs(setting, value, info)


def _reported(setting: Setting, info: Info) -> bool:
    return any(name in info for name in setting.fields)


def _unsendable(setting: Setting, info: Info, dialect: Dialect, *, by_hand: bool) -> tuple[str, str] | None:
    """Status and reason for a setting that this miner is not asked for. What a firmware does not report cannot be read
    back, and most likely it has no such setting."""
    if setting.key == "manualFanSpeed" and fan_is_a_reading(setting, info):
        return None if by_hand else ("unchanged", FAN_IS_AUTOMATIC)
    if _reported(setting, info) or _taken_unreported(setting, info, dialect):
        return None
    return "refused", UNKNOWN_HERE


def _taken_unreported(setting: Setting, info: Info, dialect: Dialect) -> bool:
    """Pools since 2.15 (an empty slot is not listed), passwords beside a pool that is, and `useFallbackStratum` from
    2.11 (which brought `manualFanSpeed`) to 2.14."""
    if setting.key in POOLS and dialect is AXEOS_2_15:
        return True
    if setting.secret:
        return setting.key.removesuffix("Password") + "URL" in info
    return setting.key == "useFallbackStratum" and "manualFanSpeed" in info and dialect is not NERDOS


def _overheated_since(echo: Mapping[str, Any], info: Info) -> bool:
    return flag(info.get("overheat_mode")) == 1.0 and flag(echo.get("overheat_mode")) == 0.0


def _refuse_wifi(found: Difference, given: Mapping[str, Any], info: Info) -> None:
    for key in WIFI_KEYS:
        value = given.get(key)
        if value not in (None, "", MASK) and value != info.get(key):
            found.unsent[key] = ("refused", None if key == "wifiPass" else value, WIFI)


def _only_whole(value: Value) -> Value:
    if not isinstance(value, int):
        raise ValueError("Must be a whole number of MHz on this firmware.")
    return value


def _nerd_fan(value: Value) -> Value:
    """ "Automatic" is the PID mode there; 1 is an older curve that has to be asked for by its number."""
    return (2 if value else 0) if isinstance(value, bool) else value


def _axeos_fan(value: Value) -> Value:
    return int(bool(value))


_ADAPTATIONS: dict[tuple[Dialect, str], Callable[[Value], Value]] = {
    # A C int up to 2.9 (2.8 and 2.9 are told as 2.7 here), ArduinoJson's is<int> on NerdOS.
    **{(dialect, "frequency"): _only_whole for dialect in (AXEOS_BEFORE_2_7, AXEOS_2_7, NERDOS)},
    (NERDOS, "autofanspeed"): _nerd_fan,
    **{(dialect, "autofanspeed"): _axeos_fan for dialect in (AXEOS_BEFORE_2_7, AXEOS_2_7, AXEOS_2_10, AXEOS_2_15)},
}
