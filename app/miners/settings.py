"""What can be set on a miner from here: an allow-list. A setting is a row; everything else a client sends is telemetry,
or is not supported.

Wi-Fi is left out on purpose: a typo there loses the miner.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.miners import setting_kinds as kinds
from app.miners.setting_kinds import Kind
from app.miners.setting_kinds import Value as Value
from app.miners.values import flag, number

Info = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a setting is within a list of the answer: a pool by its `id`, a fan by its position."""

    name: str
    number: int


@dataclass(frozen=True, slots=True)
class Setting:
    """`fields`: where firmware reports it, AxeOS' newest name first; with dots, inside of an object. `live`: acts
    without a restart on AxeOS. `secret`: never reported or shown. `preset`: may be part of a preset, which is for many
    miners. `place`: the member of a list that has the fields."""

    key: str
    kind: Kind
    fields: tuple[str, ...]
    live: bool = False
    secret: bool = False
    preset: bool = True
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One setting that is to differ: what was asked for, and what the miner runs (None where it does not say)."""

    setting: Setting
    value: Value
    present: Any

    @property
    def key(self) -> str:
        return self.setting.key


def _setting(key: str, kind: Kind, *also: str, live: bool = False, preset: bool = True) -> Setting:
    return Setting(key, kind, (key, *also), live, key.endswith("tratumPassword"), preset)


_POOL_KINDS: dict[str, Kind] = {
    "stratumURL": kinds.pool_host,
    "stratumPort": kinds.whole(1, 65535),
    "stratumUser": kinds.text(255, least=1),
    "stratumPassword": kinds.password,
    "stratumSuggestedDifficulty": kinds.whole(0, 65535),
    "stratumExtranonceSubscribe": kinds.switch,
    "stratumTLS": kinds.whole(0, 3),
    "stratumCert": kinds.certificate,
    "stratumDecodeCoinbase": kinds.switch,
    "stratumProtocol": kinds.one_of("SV1", "SV2"),
    "stratumV2ChannelType": kinds.text(32),
    "stratumV2AuthorityPubkey": kinds.text(128),
}
POOL_KEYS = tuple(_POOL_KINDS)
# NerdOS' own names (handler_system.cpp, stratum_manager.cpp). It has one difficulty for both pools.
NERD_NAMES = {
    "stratumSuggestedDifficulty": "stratumDifficulty",
    "stratumExtranonceSubscribe": "stratumEnonceSubscribe",
    "fallbackStratumExtranonceSubscribe": "fallbackStratumEnonceSubscribe",
    "stratumV2AuthorityPubkey": "sv2AuthorityPubkey",
    "fallbackStratumV2AuthorityPubkey": "fallbackSv2AuthorityPubkey",
    "stratumV2ChannelType": "sv2ChannelType",
    "fallbackStratumV2ChannelType": "fallbackSv2ChannelType",
    "temptarget": "pidTargetTemp",
}


def fallback_key(key: str) -> str:
    """`stratumURL` → `fallbackStratumURL`."""
    return f"fallback{key[0].upper()}{key[1:]}"


FALLBACK_KEYS = tuple(map(fallback_key, POOL_KEYS))
# A fallback may be empty, the primary may not.
_FALLBACK_KINDS = _POOL_KINDS | {"stratumURL": kinds.optional_pool_host, "stratumUser": kinds.text(255)}

# AxeOS from 2.15 on has so many slots for pools; NerdOS reads so many fans of a request.
POOL_SLOTS, FANS = 8, 2
_FAN_KINDS: dict[str, Kind] = {
    "mode": kinds.whole(0, 2),
    "manualSpeed": kinds.whole(0, 100),
    "overheatTemp": kinds.whole(40, 90),
    "pid.targetTemp": kinds.whole(30, 80),
    **dict.fromkeys(("pid.p", "pid.i", "pid.d"), kinds.decimal(0, 655.35)),
}


def placed_key(name: str, number: int, field: str) -> str:
    """`pools[3].stratumURL`, `fans[0].pid.targetTemp`."""
    return f"{name}[{number}].{field}"


def _placed(place: Place, field: str, kind: Kind, *, live: bool = False) -> Setting:
    key = placed_key(place.name, place.number, field)
    return Setting(key, kind, (field,), live, field == "stratumPassword", preset=False, place=place)


def _nerd_name(key: str) -> tuple[str, ...]:
    return (NERD_NAMES[key],) if key in NERD_NAMES else ()


_ROWS = (
    _setting("frequency", kinds.frequency, live=True),
    _setting("coreVoltage", kinds.whole(1, 65535), live=True),
    _setting("autofanspeed", kinds.fan_mode, live=True),
    # Before 2.11 the setting is called `fanspeed`, which later (and on NerdOS) is a reading.
    _setting("manualFanSpeed", kinds.whole(0, 100), "fanspeed", live=True),
    _setting("minFanSpeed", kinds.whole(0, 99), live=True),
    _setting("temptarget", kinds.whole(35, 66), NERD_NAMES["temptarget"], live=True),
    _setting("overheat_mode", kinds.one_of(0), live=True, preset=False),
    _setting("overclockEnabled", kinds.switch, live=True, preset=False),
    _setting("statsFrequency", kinds.whole(0, 65535), live=True),
    _setting("displayTimeout", kinds.whole(-1, 65535), live=True),
    _setting("hostname", kinds.hostname, preset=False),
    _setting("display", kinds.text(64, least=1)),
    _setting("rotation", kinds.one_of(0, 90, 180, 270)),
    _setting("invertscreen", kinds.switch),
    _setting("flipscreen", kinds.switch),
    _setting("invertfanpolarity", kinds.switch, preset=False),
    _setting("autoscreenoff", kinds.switch),
    # These are NerdOS'. The bounds of temperatures are those of its page.
    _setting("overheat_temp", kinds.whole(40, 90), live=True),
    _setting("jobInterval", kinds.whole(1, 65535), live=True),
    _setting("poolMode", kinds.one_of(0, 1), "stratum.poolMode"),
    _setting("useFallbackStratum", kinds.switch),
    _setting("primaryPoolIndex", kinds.whole(0, 7), preset=False),
    _setting("secondaryPoolIndex", kinds.whole(0, 7), preset=False),
    *(_setting(key, kind, *_nerd_name(key)) for key, kind in _POOL_KINDS.items()),
    *(_setting(fallback_key(key), kind, *_nerd_name(fallback_key(key))) for key, kind in _FALLBACK_KINDS.items()),
    *(_placed(Place("pools", slot), key, kind) for slot in range(POOL_SLOTS) for key, kind in _POOL_KINDS.items()),
    *(_placed(Place("fans", at), key, kind, live=True) for at in range(FANS) for key, kind in _FAN_KINDS.items()),
)
SETTINGS: dict[str, Setting] = {row.key: row for row in _ROWS}
# Other names under which clients may ask for a setting.
ALIASES = {name: key for key, name in NERD_NAMES.items()} | {"fanspeed": "manualFanSpeed"}
WIFI_KEYS = ("ssid", "wifiPass")


def present(setting: Setting, info: Info) -> Any:
    """What the miner says it runs; None where it does not say."""
    if fan_is_a_reading(setting, info) and not same(info.get("autofanspeed"), 0):
        return None
    source = _source(setting, info)
    return next((value for field in setting.fields if (value := _member(source, field)) is not _ABSENT), None)


def is_present(setting: Setting, value: Any, info: Info) -> bool:
    """Return True if the value is what the miner reports now, before any check of the value."""
    return not setting.secret and present(setting, info) is not None and runs(setting, value, info)


def is_reported(setting: Setting, info: Info) -> bool:
    """Return True if the miner's answer has a field for this setting."""
    source = _source(setting, info)
    return any(_member(source, field) is not _ABSENT for field in setting.fields)


_ABSENT = object()


def _source(setting: Setting, info: Info) -> Info:
    place = setting.place
    if place is None:
        return info
    return pool_in_slot(info, place.number) if place.name == "pools" else fan_at(info, place.number)


def _member(source: Any, field: str) -> Any:
    for step in field.split("."):
        if not isinstance(source, Mapping) or step not in source:
            return _ABSENT
        source = source[step]
    return source


def pool_in_slot(info: Info, slot: int) -> Info:
    """What a slot of AxeOS ≥ 2.15 holds; empty for one that is not configured: only the others are listed, by `id`."""
    pools = info.get("pools")
    listed = pools if isinstance(pools, list) else []
    return next((pool for pool in listed if isinstance(pool, dict) and number(pool.get("id")) == slot), {})


def fan_at(info: Info, at: int) -> Info:
    """What the miner reports of a fan; empty for one that it does not have."""
    fans = info.get("fans")
    fan = fans[at] if isinstance(fans, list) and at < len(fans) else None
    return fan if isinstance(fan, dict) else {}


def slot_of(key: str, info: Info) -> tuple[int, str] | None:
    """Return the slot (AxeOS ≥ 2.15) and the member of the pool that a setting stands for; None for other settings."""
    if key in _OWN_NAMES:
        index, usual = _INDEXES[key not in POOL_KEYS]
        return pool_index(info, index, usual), _OWN_NAMES[key]
    place = SETTINGS[key].place
    return (place.number, SETTINGS[key].fields[0]) if place and place.name == "pools" else None


def pool_index(info: Info, name: str, usual: int) -> int:
    index = number(info.get(name))
    return usual if index is None else int(index)


def flat_key(slot: int, member: str, info: Info) -> str | None:
    """Return the flat key of a pool that is in use, as the primary or the fallback; None for another slot."""
    primary, secondary = (pool_index(info, name, usual) for name, usual in _INDEXES)
    return member if slot == primary else fallback_key(member) if slot == secondary else None


_OWN_NAMES = {**{fallback_key(key): key for key in POOL_KEYS}, **{key: key for key in POOL_KEYS}}
# The settings that say which slot is the primary's and the fallback's, and the slot if the miner does not say.
_INDEXES = (("primaryPoolIndex", 0), ("secondaryPoolIndex", 1))


def fan_is_a_reading(setting: Setting, info: Info) -> bool:
    """Whether `fanspeed` is all that this firmware says of the manual fan speed. It is the setting itself up to AxeOS
    2.1.8 (which has `fanSpeed` for the tachometer), and where the fan is set by hand it is near it."""
    return setting.key == "manualFanSpeed" and "manualFanSpeed" not in info and "fanSpeed" not in info


def runs(setting: Setting, value: Any, info: Info) -> bool:
    """Whether the miner says that it runs `value`; a reading in place of the setting may be 1 % off."""
    actual = present(setting, info)
    if fan_is_a_reading(setting, info):
        wanted, measured = number(value), number(actual)
        return wanted is not None and measured is not None and abs(wanted - measured) <= 1
    return same(value, actual)


def runs_otherwise(setting: Setting, value: Any, info: Info) -> bool:
    """Whether the miner says that it runs something else; what it does not report cannot differ."""
    return present(setting, info) is not None and not runs(setting, value, info)


def same(wanted: Any, actual: Any) -> bool:
    """Numbers by value, whatever their type or quotes (firmware keeps 32-bit floats); true is 1; texts as they are."""
    if isinstance(wanted, str) and isinstance(actual, str):
        return wanted == actual
    left, right = (flag(each) if isinstance(each, bool) else number(each) for each in (wanted, actual))
    if left is not None and right is not None:
        return math.isclose(left, right, rel_tol=1e-6)
    return bool(wanted == actual)
