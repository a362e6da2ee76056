"""What of a wish differs from what a miner runs. Pure: no miner is asked.

A wish has two parts. `values` were asked for one by one. An `echo` is a whole device object that a client read, edited
and sent back, so of it only what differs counts, and what is also a reading never does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Any

from app.miners.dialect_kinds import normal
from app.miners.dialects import AXEOS_2_15, NERDOS, Dialect, dialect_of
from app.miners.readings import READINGS, SET_ELSEWHERE
from app.miners.redaction import is_secret
from app.miners.setting_kinds import MASK, Value
from app.miners.setting_lists import Flat, is_unset, without_lists
from app.miners.settings import (
    ALIASES,
    FALLBACK_KEYS,
    POOL_KEYS,
    SETTINGS,
    WIFI_KEYS,
    Change,
    Info,
    Setting,
    fan_is_a_reading,
    is_present,
    is_reported,
    present,
    runs,
    same,
    slot_of,
)
from app.miners.telemetry import flag

POOLS = frozenset((*POOL_KEYS, *FALLBACK_KEYS))
# What overheating changes. A client's object from before it would undo that.
_HEAT = frozenset({"frequency", "coreVoltage", "autofanspeed", "manualFanSpeed"})

WIFI = "Wi-Fi is not changed from here, where a typo would lose the miner: change it on the miner's own page"
UNKNOWN_HERE = "This firmware reports no such setting, so it was not sent"
FAN_IS_AUTOMATIC = "Not used while the fan regulates itself, so it was not sent"
NOT_SUPPORTED = "There is no such setting, so it was not sent"
# Keys of one request that are listed as unsupported.
MAX_LISTED = 256
COOLED = "The miner overheated after this was loaded, and changed it: load the device again"


class WriteStatus(StrEnum):
    """What became of one setting of a request. `refused`: the miner did not accept it. `unsupported`: it cannot be set
    from here."""

    APPLIED = "applied"
    PENDING_RESTART = "pending_restart"
    REFUSED = "refused"
    UNCHANGED = "unchanged"
    UNSUPPORTED = "unsupported"


@dataclass(slots=True)
class Difference:
    """`changes`: to be written. `problems`: sentences by key; if there is one, nothing is to be written. `unchanged`:
    what was asked for and runs already. `unsent`: key → status, value and why it is not sent to this miner.
    `only_unsupported`: the request names nothing else. `named`: the settings that were asked for one by one."""

    changes: list[Change] = field(default_factory=list)
    problems: dict[str, list[str]] = field(default_factory=dict)
    unchanged: dict[str, Value] = field(default_factory=dict)
    unsent: dict[str, tuple[WriteStatus, Any, str]] = field(default_factory=dict)
    only_unsupported: bool = False
    named: frozenset[str] = frozenset()


def difference(values: Mapping[str, Any], echo: Mapping[str, Any], info: Info) -> Difference:
    """`values` and `echo` against the miner's own word. Where both name a setting, the echo's wins if it differs from
    what the miner runs, for then somebody edited it; but of a pool the values win.

    A value equal to the present one is not judged: clients send odd values back that the miner itself had.
    """
    found = Difference()
    dialect = dialect_of(info)
    flat, echoed = without_lists(values, info), without_lists(echo, info)
    asked = _named(flat.values)
    found.named = frozenset(asked)
    edited = {key: value for key, value in _echoed(echoed.values, info).items() if key not in asked or key not in POOLS}
    edited = {key: value for key, value in edited.items() if not is_present(SETTINGS[key], value, info)}
    wanted = {**asked, **edited}
    by_hand = same(wanted.get("autofanspeed", info.get("autofanspeed")), 0)
    for key, value in wanted.items():
        if key in edited and key in _HEAT and _overheated_since(echo, info):
            found.problems[key] = [COOLED]
        else:
            _weigh(found, SETTINGS[key], value, info, dialect, by_hand=by_hand)
    found.problems |= {key: why for key, why in echoed.problems.items() if key not in asked} | flat.problems
    _refuse_wifi(found, {**echo, **values}, info)
    _note_unsupported(found, flat, echoed, info)
    return found


def _note_unsupported(found: Difference, flat: Flat, echoed: Flat, info: Info) -> None:
    """Note what is neither a setting nor a reading. A single value that the miner reports as it is, is a reading; of an
    echo, whose readings have moved on, everything is that the miner reports, unless its own page sets it."""
    single = {key: value for key, value in flat.values.items() if key not in info or not same(value, info[key])}
    edited = {
        key: value
        for key, value in echoed.values.items()
        if key not in info or (key in SET_ELSEWHERE and not same(value, info[key]))
    }
    unknown = {key: (value, NOT_SUPPORTED) for key, value in {**edited, **single}.items() if not _is_known(key)}
    unsupported = {**unknown, **echoed.unsupported, **flat.unsupported}
    for key, (value, reason) in islice(unsupported.items(), MAX_LISTED):
        found.unsent[key] = (
            WriteStatus.UNSUPPORTED,
            None if is_secret(key) or isinstance(value, dict | list) else value,
            reason,
        )
    found.only_unsupported = bool(unsupported) and not {*flat.values, *echoed.values} - unknown.keys()


def _is_known(key: str) -> bool:
    return key in SETTINGS or key in ALIASES or key in WIFI_KEYS or key in READINGS


def _weigh(found: Difference, setting: Setting, value: Any, info: Info, dialect: Dialect, *, by_hand: bool) -> None:
    if is_unset(setting, value):
        return
    if is_present(setting, value, info):
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


def _named(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings among `values`, by our names for them."""
    known = {key: value for key, value in values.items() if key in SETTINGS}
    other = {key: value for alias, key in ALIASES.items() if (value := values.get(alias)) is not None}
    return {**other, **known}


def _echoed(echo: Mapping[str, Any], info: Info) -> dict[str, Any]:
    """The settings among what a client sent back. null is how firmware says that it does not know, and "" how we fill
    `stratumUser` in; `overheat_mode` is a reading there, and so is `fanspeed`, unless it is all there is for a fan that
    is set by hand."""
    chosen = {key: value for key, value in _named(echo).items() if value is not None}
    chosen.pop("overheat_mode", None)
    if "manualFanSpeed" not in echo and not _fan_by_hand(echo, info):
        chosen.pop("manualFanSpeed", None)
    if chosen.get("stratumUser") == "":
        del chosen["stratumUser"]
    return {key: value for key, value in chosen.items() if _may_be_edited(SETTINGS[key], info)}


def _may_be_edited(setting: Setting, info: Info) -> bool:
    """A pool may be new in its slot, and a password is never reported."""
    return is_reported(setting, info) or setting.secret or setting.place is not None


def _fan_by_hand(echo: Mapping[str, Any], info: Info) -> bool:
    return "manualFanSpeed" not in info and same(echo.get("autofanspeed", info.get("autofanspeed")), 0)


def _unsendable(setting: Setting, info: Info, dialect: Dialect, *, by_hand: bool) -> tuple[WriteStatus, str] | None:
    """Status and reason for a setting that this miner is not asked for. What a firmware does not report cannot be read
    back, and most likely it has no such setting."""
    if setting.key == "manualFanSpeed" and fan_is_a_reading(setting, info):
        return None if by_hand else (WriteStatus.UNCHANGED, FAN_IS_AUTOMATIC)
    if is_reported(setting, info) or _taken_unreported(setting, info, dialect):
        return None
    return WriteStatus.REFUSED, UNKNOWN_HERE


def _taken_unreported(setting: Setting, info: Info, dialect: Dialect) -> bool:
    """Pools since 2.15 (an empty slot is not listed), passwords beside a pool that is, and `useFallbackStratum` from
    2.11 (which brought `manualFanSpeed`) to 2.14."""
    if dialect is AXEOS_2_15 and slot_of(setting.key, info):
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
            found.unsent[key] = (WriteStatus.REFUSED, None if key == "wifiPass" else value, WIFI)
