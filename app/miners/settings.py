"""The settings that this service writes to miners: an allow-list with one row per setting.

Any other key of a request is a reading or unsupported. Wi-Fi is not in the list on purpose: a typo there disconnects
the miner.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.miners import setting_kinds as parsers
from app.miners.setting_kinds import Kind
from app.miners.setting_kinds import Value as Value
from app.miners.values import flag, number

Info = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """The list and the item that a setting belongs to: a pool by its `id`, a fan by its position."""

    name: str
    number: int


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    `fields`: the fields in which firmware reports it, AxeOS' newest name first; dots separate the steps into nested
    objects. `live`: takes effect without a restart on AxeOS. `secret`: never reported or shown. `preset`: may be part
    of a preset, which is for many miners. `list_item`: the list item that has the fields, if any.
    """

    key: str
    kind: Kind
    fields: tuple[str, ...]
    live: bool = False
    secret: bool = False
    preset: bool = True
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One setting to write: the requested value, and the present one (None if the miner does not report it)."""

    setting: Setting
    value: Value
    present: Any

    @property
    def key(self) -> str:
        return self.setting.key


def _setting(key: str, kind: Kind, *also: str, live: bool = False, preset: bool = True) -> Setting:
    return Setting(key, kind, (key, *also), live, key.endswith("tratumPassword"), preset)


_POOL_PARSERS: dict[str, Kind] = {
    "stratumURL": parsers.pool_host,
    "stratumPort": parsers.whole(1, 65535),
    "stratumUser": parsers.text(255, min_bytes=1),
    "stratumPassword": parsers.password,
    "stratumSuggestedDifficulty": parsers.whole(0, 65535),
    "stratumExtranonceSubscribe": parsers.switch,
    "stratumTLS": parsers.whole(0, 3),
    "stratumCert": parsers.certificate,
    "stratumDecodeCoinbase": parsers.switch,
    "stratumProtocol": parsers.one_of("SV1", "SV2"),
    "stratumV2ChannelType": parsers.text(32),
    "stratumV2AuthorityPubkey": parsers.text(128),
}
POOL_KEYS = tuple(_POOL_PARSERS)
# The keys of NerdOS (handler_system.cpp, stratum_manager.cpp). It has one difficulty for both pools.
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
    """Return `fallbackStratumURL` for `stratumURL`."""
    return f"fallback{key[0].upper()}{key[1:]}"


FALLBACK_KEYS = tuple(map(fallback_key, POOL_KEYS))
# The fallback pool may be empty, the primary may not.
_FALLBACK_PARSERS = _POOL_PARSERS | {"stratumURL": parsers.optional_pool_host, "stratumUser": parsers.text(255)}

# The number of pool slots in AxeOS ≥ 2.15, and of fans that NerdOS reads from a request.
POOL_SLOTS, FANS = 8, 2
_FAN_PARSERS: dict[str, Kind] = {
    "mode": parsers.whole(0, 2),
    "manualSpeed": parsers.whole(0, 100),
    "overheatTemp": parsers.whole(40, 90),
    "pid.targetTemp": parsers.whole(30, 80),
    **dict.fromkeys(("pid.p", "pid.i", "pid.d"), parsers.decimal(0, 655.35)),
}


def placed_key(name: str, number: int, field: str) -> str:
    """Return a key such as `pools[3].stratumURL` or `fans[0].pid.targetTemp`."""
    return f"{name}[{number}].{field}"


def _placed(place: Place, field: str, kind: Kind, *, live: bool = False) -> Setting:
    key = placed_key(place.name, place.number, field)
    return Setting(key, kind, (field,), live, field == "stratumPassword", preset=False, place=place)


def _nerd_name(key: str) -> tuple[str, ...]:
    return (NERD_NAMES[key],) if key in NERD_NAMES else ()


_ROWS = (
    _setting("frequency", parsers.frequency, live=True),
    _setting("coreVoltage", parsers.whole(1, 65535), live=True),
    _setting("autofanspeed", parsers.fan_mode, live=True),
    # Before AxeOS 2.11 the setting is called `fanspeed`, which later (and on NerdOS) is a reading.
    _setting("manualFanSpeed", parsers.whole(0, 100), "fanspeed", live=True),
    _setting("minFanSpeed", parsers.whole(0, 99), live=True),
    _setting("temptarget", parsers.whole(35, 66), NERD_NAMES["temptarget"], live=True),
    _setting("overheat_mode", parsers.one_of(0), live=True, preset=False),
    _setting("overclockEnabled", parsers.switch, live=True, preset=False),
    _setting("statsFrequency", parsers.whole(0, 65535), live=True),
    _setting("displayTimeout", parsers.whole(-1, 65535), live=True),
    _setting("hostname", parsers.hostname, preset=False),
    _setting("display", parsers.text(64, min_bytes=1)),
    _setting("rotation", parsers.one_of(0, 90, 180, 270)),
    _setting("invertscreen", parsers.switch),
    _setting("flipscreen", parsers.switch),
    _setting("invertfanpolarity", parsers.switch, preset=False),
    _setting("autoscreenoff", parsers.switch),
    # NerdOS only. The ranges of temperatures are those of its page.
    _setting("overheat_temp", parsers.whole(40, 90), live=True),
    _setting("jobInterval", parsers.whole(1, 65535), live=True),
    _setting("poolMode", parsers.one_of(0, 1), "stratum.poolMode"),
    _setting("useFallbackStratum", parsers.switch),
    _setting("primaryPoolIndex", parsers.whole(0, 7), preset=False),
    _setting("secondaryPoolIndex", parsers.whole(0, 7), preset=False),
    *(_setting(key, kind, *_nerd_name(key)) for key, kind in _POOL_PARSERS.items()),
    *(_setting(fallback_key(key), kind, *_nerd_name(fallback_key(key))) for key, kind in _FALLBACK_PARSERS.items()),
    *(_placed(Place("pools", slot), key, kind) for slot in range(POOL_SLOTS) for key, kind in _POOL_PARSERS.items()),
    *(_placed(Place("fans", at), key, kind, live=True) for at in range(FANS) for key, kind in _FAN_PARSERS.items()),
)
SETTINGS: dict[str, Setting] = {row.key: row for row in _ROWS}
# Other keys under which clients may request a setting.
ALIASES = {name: key for key, name in NERD_NAMES.items()} | {"fanspeed": "manualFanSpeed"}
WIFI_KEYS = ("ssid", "wifiPass")


def present(setting: Setting, info: Info) -> Any:
    """Return the value that the miner reports, or None."""
    if fan_is_a_reading(setting, info) and not same(info.get("autofanspeed"), 0):
        return None
    source = _source(setting, info)
    return next((value for field in setting.fields if (value := _member(source, field)) is not _ABSENT), None)


def is_present(setting: Setting, value: Any, info: Info) -> bool:
    """Return True if the miner reports this value, which may be one that we would not accept."""
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
    """Return the pool in a slot of AxeOS ≥ 2.15, which lists configured pools by `id`; empty for an unused slot."""
    pools = info.get("pools")
    listed = pools if isinstance(pools, list) else []
    return next((pool for pool in listed if isinstance(pool, dict) and number(pool.get("id")) == slot), {})


def fan_at(info: Info, at: int) -> Info:
    """Return the fan that the miner reports at this position; empty if it has none."""
    fans = info.get("fans")
    fan = fans[at] if isinstance(fans, list) and at < len(fans) else None
    return fan if isinstance(fan, dict) else {}


def slot_of(key: str, info: Info) -> tuple[int, str] | None:
    """Return the slot (AxeOS ≥ 2.15) and the member of the pool that a setting refers to; None for other settings."""
    if key in _OWN_NAMES:
        index, default_slot = _INDEXES[key not in POOL_KEYS]
        return pool_index(info, index, default_slot), _OWN_NAMES[key]
    place = SETTINGS[key].place
    return (place.number, SETTINGS[key].fields[0]) if place and place.name == "pools" else None


def pool_index(info: Info, name: str, default_slot: int) -> int:
    index = number(info.get(name))
    return default_slot if index is None else int(index)


def flat_key(slot: int, member: str, info: Info) -> str | None:
    """Return the flat key of a pool that is in use, as the primary or the fallback; None for another slot."""
    primary, secondary = (pool_index(info, name, default_slot) for name, default_slot in _INDEXES)
    return member if slot == primary else fallback_key(member) if slot == secondary else None


_OWN_NAMES = {**{fallback_key(key): key for key in POOL_KEYS}, **{key: key for key in POOL_KEYS}}
# The settings with the slot of the primary and of the fallback, and the slot if the miner does not report it.
_INDEXES = (("primaryPoolIndex", 0), ("secondaryPoolIndex", 1))


def fan_is_a_reading(setting: Setting, info: Info) -> bool:
    """Return True if this firmware reports the manual fan speed only as the reading `fanspeed`.

    Up to AxeOS 2.1.8 (which reports the tachometer as `fanSpeed`) `fanspeed` is the setting itself. In later firmware
    it is close to the setting while the fan is in manual mode.
    """
    return setting.key == "manualFanSpeed" and "manualFanSpeed" not in info and "fanSpeed" not in info


def runs(setting: Setting, value: Any, info: Info) -> bool:
    """Return True if the miner reports `value`. A reading in place of the setting may differ by 1 %."""
    actual = present(setting, info)
    if fan_is_a_reading(setting, info):
        wanted, measured = number(value), number(actual)
        return wanted is not None and measured is not None and abs(wanted - measured) <= 1
    return same(value, actual)


def runs_otherwise(setting: Setting, value: Any, info: Info) -> bool:
    """Return True if the miner reports a value other than `value`. An unreported setting does not differ."""
    return present(setting, info) is not None and not runs(setting, value, info)


def same(wanted: Any, actual: Any) -> bool:
    """Return True if two values are equal. As in firmware, numbers may be quoted and have 32-bit precision, and true
    is 1."""
    if isinstance(wanted, str) and isinstance(actual, str):
        return wanted == actual
    left, right = (flag(each) if isinstance(each, bool) else number(each) for each in (wanted, actual))
    if left is not None and right is not None:
        return math.isclose(left, right, rel_tol=1e-6)
    return bool(wanted == actual)
