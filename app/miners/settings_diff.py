"""Compare requested settings with those that a miner reports. Pure: it contacts no miner.

A request has two parts. `values` are settings that it names one by one. `client_info` is a whole device object that a
client read, edited and sent back: only the settings in it that differ count, and never a field that is also a reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Any

from app.miners.dialect_parsers import normalise_value
from app.miners.dialects import AXEOS_2_15, NERDOS, Dialect, detect_dialect
from app.miners.reading_fields import READINGS, SET_ELSEWHERE
from app.miners.setting_lists import FlatSettings, flatten_lists, is_unchanged_password
from app.miners.setting_parsers import MASK, Value
from app.miners.setting_table import (
    ALIASES,
    FALLBACK_KEYS,
    POOL_KEYS,
    SETTINGS,
    WIFI_KEYS,
    Info,
    Setting,
    SettingChange,
    find_pool_slot,
    has_value,
    is_fan_speed_reading,
    is_reported,
    is_reported_value,
    is_same_value,
    read_present_value,
)
from app.miners.values import parse_flag, parse_number
from app.redaction.secret_words import is_secret_key

FAN_SPEED = "manualFanSpeed"
POOLS = frozenset((*POOL_KEYS, *FALLBACK_KEYS))
# Settings that the firmware changes after overheating. A client's older copy of the info would undo that.
_HEAT = frozenset({"frequency", "coreVoltage", "autofanspeed", "manualFanSpeed"})

WIFI = "Wi-Fi cannot be changed here, since a typo would disconnect the miner: change it on the miner's own page"
UNKNOWN_HERE = "This firmware reports no such setting, so it was not sent"
FAN_IS_AUTOMATIC = "Not used while the fan is in automatic mode, so it was not sent"
EQUALS_READING = "It is the present speed of the fan, so it was not sent"
NOT_SUPPORTED = "There is no such setting, so it was not sent"
# Keys of one request that are listed as unsupported.
MAX_LISTED = 256
COOLED = "The miner overheated after this copy was loaded, and changed the setting: load the device again"


class WriteStatus(StrEnum):
    """The result of a request for one setting.

    `refused`: the miner did not accept it. `unsupported`: this service cannot set it.
    """

    APPLIED = "applied"
    PENDING_RESTART = "pending_restart"
    REFUSED = "refused"
    UNCHANGED = "unchanged"
    UNSUPPORTED = "unsupported"


@dataclass(slots=True)
class SettingsDiff:
    """The result of a comparison.

    `changes`: the settings to write. `problems`: sentences by key; if there is one, nothing is written. `unchanged`:
    requested values that the miner has already. `unsent`: status, value and reason by key of what is not sent to this
    miner. `only_unsupported`: the request has only unsupported keys. `named_keys`: the settings that were requested one
    by one.
    """

    changes: list[SettingChange] = field(default_factory=list)
    problems: dict[str, list[str]] = field(default_factory=dict)
    unchanged: dict[str, Value] = field(default_factory=dict)
    unsent: dict[str, tuple[WriteStatus, Any, str]] = field(default_factory=dict)
    only_unsupported: bool = False
    named_keys: frozenset[str] = frozenset()


def compute_settings_diff(values: Mapping[str, Any], client_info: Mapping[str, Any], info: Info) -> SettingsDiff:
    """Compare a request with the miner's answer `info`.

    If both parts have a setting, the one in `client_info` counts if it differs from the miner's, since the client has
    then edited it; for a pool's settings `values` count. A value equal to the present one is not validated: clients
    send unusual values back that the miner itself reported.
    """
    found = SettingsDiff()
    dialect = detect_dialect(info)
    flat, client_flat = flatten_lists(values, info), flatten_lists(client_info, info)
    requested = _select_settings(flat.values)
    found.named_keys = frozenset(requested)
    edited = {
        key: value
        for key, value in _select_client_settings(client_flat.values, info).items()
        if key not in requested or key not in POOLS
    }
    edited = {key: value for key, value in edited.items() if not is_reported_value(SETTINGS[key], value, info)}
    wanted = {**requested, **edited}
    fan_is_manual = is_same_value(wanted.get("autofanspeed", info.get("autofanspeed")), 0)
    for key, value in wanted.items():
        if key in edited and key in _HEAT and _has_overheated_since(client_info, info):
            found.problems[key] = [COOLED]
        elif key == FAN_SPEED and key in requested and _is_fan_reading(flat.values, info, fan_is_manual=fan_is_manual):
            reason = EQUALS_READING if fan_is_manual else FAN_IS_AUTOMATIC
            found.unsent[key] = (WriteStatus.UNCHANGED, value, reason)
        else:
            _classify_setting(found, SETTINGS[key], value, info, dialect, fan_is_manual=fan_is_manual)
    found.problems |= {key: why for key, why in client_flat.problems.items() if key not in requested} | flat.problems
    _refuse_wifi(found, {**client_info, **values}, info)
    _add_unsupported(found, flat, client_flat, info)
    return found


def _add_unsupported(found: SettingsDiff, flat: FlatSettings, client_flat: FlatSettings, info: Info) -> None:
    """Add the keys that are neither a setting nor a reading.

    A single value counts as a reading if the miner reports the same. In `client_info`, whose readings are outdated,
    every field that the miner reports counts as a reading, except those that only the miner's own page sets.
    """
    single = {
        key: value for key, value in flat.values.items() if key not in info or not is_same_value(value, info[key])
    }
    edited = {
        key: value
        for key, value in client_flat.values.items()
        if key not in info or (key in SET_ELSEWHERE and not is_same_value(value, info[key]))
    }
    unknown = {key: (value, NOT_SUPPORTED) for key, value in {**edited, **single}.items() if not _is_known_key(key)}
    unsupported = {**unknown, **client_flat.unsupported, **flat.unsupported}
    for key, (value, reason) in islice(unsupported.items(), MAX_LISTED):
        found.unsent[key] = (
            WriteStatus.UNSUPPORTED,
            None if is_secret_key(key) or isinstance(value, dict | list) else value,
            reason,
        )
    found.only_unsupported = bool(unsupported) and not {*flat.values, *client_flat.values} - unknown.keys()


def _is_known_key(key: str) -> bool:
    return key in SETTINGS or key in ALIASES or key in WIFI_KEYS or key in READINGS


def _classify_setting(
    found: SettingsDiff, setting: Setting, value: Any, info: Info, dialect: Dialect, *, fan_is_manual: bool
) -> None:
    if is_unchanged_password(setting, value):
        return
    if is_reported_value(setting, value, info):
        found.unchanged[setting.key] = read_present_value(setting, info)
        return
    try:
        wanted = normalise_value(setting, value, dialect)
    except ValueError as error:
        found.problems[setting.key] = [str(error)]
        return
    actual = read_present_value(setting, info)
    if (why := find_unsent_reason(setting, info, dialect, fan_is_manual=fan_is_manual)) is not None:
        status, reason = why
        found.unsent[setting.key] = (status, None if setting.secret else wanted, reason)
    elif not setting.secret and (has_value(setting, wanted, info) or (wanted == "" and actual is None)):
        found.unchanged[setting.key] = wanted
    else:
        found.changes.append(SettingChange(setting, wanted, actual))


def _select_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings among `values`; an alias becomes the setting's key."""
    known = {key: value for key, value in values.items() if key in SETTINGS}
    other = {key: value for alias, key in ALIASES.items() if (value := values.get(alias)) is not None}
    return {**other, **known}


def _select_client_settings(client_info: Mapping[str, Any], info: Info) -> dict[str, Any]:
    """Return the settings in a client's copy of the info.

    Not settings there: null, which firmware reports for "unknown"; an empty `stratumUser`, which this service fills in;
    `overheat_mode`; and `fanspeed`, unless it is the only field for a fan in manual mode.
    """
    chosen = {key: value for key, value in _select_settings(client_info).items() if value is not None}
    chosen.pop("overheat_mode", None)
    if "manualFanSpeed" not in client_info and not _is_fan_manual(client_info, info):
        chosen.pop("manualFanSpeed", None)
    if chosen.get("stratumUser") == "":
        del chosen["stratumUser"]
    return {key: value for key, value in chosen.items() if _is_editable(SETTINGS[key], info)}


def _is_editable(setting: Setting, info: Info) -> bool:
    """Return True if a client can have edited the setting. A pool may be new in its slot, and a password is never
    reported."""
    return is_reported(setting, info) or setting.secret or setting.list_item is not None


def _is_fan_manual(client_info: Mapping[str, Any], info: Info) -> bool:
    return "manualFanSpeed" not in info and is_same_value(client_info.get("autofanspeed", info.get("autofanspeed")), 0)


def find_unsent_reason(
    setting: Setting, info: Info, dialect: Dialect, *, fan_is_manual: bool
) -> tuple[WriteStatus, str] | None:
    """Return status and reason if the setting is not sent to this miner, else None.

    A setting that firmware does not report cannot be verified, and most likely it does not exist there.
    """
    if setting.key == "manualFanSpeed" and is_fan_speed_reading(setting, info):
        return None if fan_is_manual else (WriteStatus.UNCHANGED, FAN_IS_AUTOMATIC)
    if is_reported(setting, info) or _is_accepted_unreported(setting, info, dialect):
        return None
    return WriteStatus.REFUSED, UNKNOWN_HERE


def _is_accepted_unreported(setting: Setting, info: Info, dialect: Dialect) -> bool:
    """Return True if the firmware accepts the setting although it does not report it.

    That is: pools since AxeOS 2.15 (it does not list an empty slot), the password of a reported pool, and
    `useFallbackStratum` from 2.11 (which introduced `manualFanSpeed`) to 2.14.
    """
    if dialect is AXEOS_2_15 and find_pool_slot(setting.key, info):
        return True
    if setting.secret:
        return setting.key.removesuffix("Password") + "URL" in info
    return setting.key == "useFallbackStratum" and "manualFanSpeed" in info and dialect is not NERDOS


def _is_fan_reading(values: Mapping[str, Any], info: Info, *, fan_is_manual: bool) -> bool:
    """Return True if `fanspeed` in a request is only a reading, of firmware that reports the setting apart from it.

    A form that is sent back has such a reading (43.2 %) beside `autofanspeed`: in automatic mode it is outdated, in
    manual mode within 1 % of the setting.
    """
    if FAN_SPEED in values or FAN_SPEED not in info:
        return False
    if not fan_is_manual:
        return "autofanspeed" in values
    sent, setting = parse_number(values["fanspeed"]), parse_number(info[FAN_SPEED])
    return sent is not None and setting is not None and abs(sent - setting) <= 1


def _has_overheated_since(client_info: Mapping[str, Any], info: Info) -> bool:
    return parse_flag(info.get("overheat_mode")) == 1.0 and parse_flag(client_info.get("overheat_mode")) == 0.0


def _refuse_wifi(found: SettingsDiff, given: Mapping[str, Any], info: Info) -> None:
    for key in WIFI_KEYS:
        value = given.get(key)
        if value not in (None, "", MASK) and value != info.get(key):
            found.unsent[key] = (WriteStatus.REFUSED, None if key == "wifiPass" else value, WIFI)
