"""The settings that this service writes to miners: an allow-list with one row per setting.

Any other key of a request is a reading or unsupported. Wi-Fi is not in the list on purpose: a typo there disconnects
the miner.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.miners import setting_parsers as parsers
from app.miners.setting_parsers import Value as Value
from app.miners.setting_parsers import ValueParser
from app.miners.values import parse_flag, parse_number

Info = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ListItem:
    """The list and the item that a setting belongs to: a pool by its `id`, a fan by its position."""

    list_name: str
    item_number: int


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    `fields`: the fields in which firmware reports it, AxeOS' newest name first; dots separate the steps into nested
    objects. `live`: takes effect without a restart on AxeOS. `secret`: never reported or shown. `preset`: may be part
    of a preset, which is for many miners. `list_item`: the list item that has the fields, if any.
    """

    key: str
    parse_value: ValueParser
    fields: tuple[str, ...]
    live: bool = False
    secret: bool = False
    preset: bool = True
    list_item: ListItem | None = None


@dataclass(frozen=True, slots=True)
class SettingChange:
    """One setting to write: the requested value, and the present one (None if the miner does not report it)."""

    setting: Setting
    value: Value
    present: Any

    @property
    def key(self) -> str:
        return self.setting.key


def _make_setting(key: str, kind: ValueParser, *also: str, live: bool = False, preset: bool = True) -> Setting:
    return Setting(key, kind, (key, *also), live, key.endswith("tratumPassword"), preset)


_POOL_PARSERS: dict[str, ValueParser] = {
    "stratumURL": parsers.parse_pool_host,
    "stratumPort": parsers.WholeNumberParser(1, 65535),
    "stratumUser": parsers.TextParser(255, min_bytes=1),
    "stratumPassword": parsers.parse_password,
    "stratumSuggestedDifficulty": parsers.WholeNumberParser(0, 65535),
    "stratumExtranonceSubscribe": parsers.parse_switch,
    "stratumTLS": parsers.WholeNumberParser(0, 3),
    "stratumCert": parsers.parse_certificate,
    "stratumDecodeCoinbase": parsers.parse_switch,
    "stratumProtocol": parsers.ChoiceParser(("SV1", "SV2")),
    "stratumV2ChannelType": parsers.TextParser(32),
    "stratumV2AuthorityPubkey": parsers.TextParser(128),
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


def build_fallback_key(key: str) -> str:
    """Return `fallbackStratumURL` for `stratumURL`."""
    return f"fallback{key[0].upper()}{key[1:]}"


FALLBACK_KEYS = tuple(map(build_fallback_key, POOL_KEYS))
# The fallback pool may be empty, the primary may not.
_FALLBACK_PARSERS = _POOL_PARSERS | {
    "stratumURL": parsers.parse_optional_pool_host,
    "stratumUser": parsers.TextParser(255),
}

# The number of pool slots in AxeOS ≥ 2.15, and of fans that NerdOS reads from a request.
POOL_SLOTS, FANS = 8, 2
_FAN_PARSERS: dict[str, ValueParser] = {
    "mode": parsers.WholeNumberParser(0, 2),
    "manualSpeed": parsers.WholeNumberParser(0, 100),
    "overheatTemp": parsers.WholeNumberParser(40, 90),
    "pid.targetTemp": parsers.WholeNumberParser(30, 80),
    **dict.fromkeys(("pid.p", "pid.i", "pid.d"), parsers.DecimalParser(0, 655.35)),
}


def build_item_key(name: str, number: int, field: str) -> str:
    """Return a key such as `pools[3].stratumURL` or `fans[0].pid.targetTemp`."""
    return f"{name}[{number}].{field}"


def _make_item_setting(place: ListItem, field: str, kind: ValueParser, *, live: bool = False) -> Setting:
    key = build_item_key(place.list_name, place.item_number, field)
    return Setting(key, kind, (field,), live, field == "stratumPassword", preset=False, list_item=place)


def _list_nerd_names(key: str) -> tuple[str, ...]:
    return (NERD_NAMES[key],) if key in NERD_NAMES else ()


_ROWS = (
    _make_setting("frequency", parsers.parse_frequency, live=True),
    _make_setting("coreVoltage", parsers.WholeNumberParser(1, 65535), live=True),
    _make_setting("autofanspeed", parsers.parse_fan_mode, live=True),
    # Before AxeOS 2.11 the setting is called `fanspeed`, which later (and on NerdOS) is a reading.
    _make_setting("manualFanSpeed", parsers.WholeNumberParser(0, 100), "fanspeed", live=True),
    _make_setting("minFanSpeed", parsers.WholeNumberParser(0, 99), live=True),
    _make_setting("temptarget", parsers.WholeNumberParser(35, 66), NERD_NAMES["temptarget"], live=True),
    _make_setting("overheat_mode", parsers.ChoiceParser((0,)), live=True, preset=False),
    _make_setting("overclockEnabled", parsers.parse_switch, live=True, preset=False),
    _make_setting("statsFrequency", parsers.WholeNumberParser(0, 65535), live=True),
    _make_setting("displayTimeout", parsers.WholeNumberParser(-1, 65535), live=True),
    _make_setting("hostname", parsers.parse_hostname, preset=False),
    _make_setting("display", parsers.TextParser(64, min_bytes=1)),
    _make_setting("rotation", parsers.ChoiceParser((0, 90, 180, 270))),
    _make_setting("invertscreen", parsers.parse_switch),
    _make_setting("flipscreen", parsers.parse_switch),
    _make_setting("invertfanpolarity", parsers.parse_switch, preset=False),
    _make_setting("autoscreenoff", parsers.parse_switch),
    # NerdOS only. The ranges of temperatures are those of its page.
    _make_setting("overheat_temp", parsers.WholeNumberParser(40, 90), live=True),
    _make_setting("jobInterval", parsers.WholeNumberParser(1, 65535), live=True),
    _make_setting("poolMode", parsers.ChoiceParser((0, 1)), "stratum.poolMode"),
    _make_setting("useFallbackStratum", parsers.parse_switch),
    _make_setting("primaryPoolIndex", parsers.WholeNumberParser(0, 7), preset=False),
    _make_setting("secondaryPoolIndex", parsers.WholeNumberParser(0, 7), preset=False),
    *(_make_setting(key, kind, *_list_nerd_names(key)) for key, kind in _POOL_PARSERS.items()),
    *(
        _make_setting(build_fallback_key(key), kind, *_list_nerd_names(build_fallback_key(key)))
        for key, kind in _FALLBACK_PARSERS.items()
    ),
    *(
        _make_item_setting(ListItem("pools", slot), key, kind)
        for slot in range(POOL_SLOTS)
        for key, kind in _POOL_PARSERS.items()
    ),
    *(
        _make_item_setting(ListItem("fans", at), key, kind, live=True)
        for at in range(FANS)
        for key, kind in _FAN_PARSERS.items()
    ),
)
SETTINGS: dict[str, Setting] = {row.key: row for row in _ROWS}
# Other keys under which clients may request a setting.
ALIASES = {name: key for key, name in NERD_NAMES.items()} | {"fanspeed": "manualFanSpeed"}
WIFI_KEYS = ("ssid", "wifiPass")


def read_present_value(setting: Setting, info: Info) -> Any:
    """Return the value that the miner reports, or None."""
    if is_fan_speed_reading(setting, info) and not is_same_value(info.get("autofanspeed"), 0):
        return None
    source = _find_source(setting, info)
    return next((value for field in setting.fields if (value := _read_member(source, field)) is not _ABSENT), None)


def is_reported_value(setting: Setting, value: Any, info: Info) -> bool:
    """Return True if the miner reports this value, which may be one that we would not accept."""
    return not setting.secret and read_present_value(setting, info) is not None and has_value(setting, value, info)


def is_reported(setting: Setting, info: Info) -> bool:
    """Return True if the miner's answer has a field for this setting."""
    source = _find_source(setting, info)
    return any(_read_member(source, field) is not _ABSENT for field in setting.fields)


_ABSENT = object()


def _find_source(setting: Setting, info: Info) -> Info:
    place = setting.list_item
    if place is None:
        return info
    return (
        find_pool_in_slot(info, place.item_number) if place.list_name == "pools" else find_fan(info, place.item_number)
    )


def _read_member(source: Any, field: str) -> Any:
    for step in field.split("."):
        if not isinstance(source, Mapping) or step not in source:
            return _ABSENT
        source = source[step]
    return source


def find_pool_in_slot(info: Info, slot: int) -> Info:
    """Return the pool in a slot of AxeOS ≥ 2.15, which lists configured pools by `id`; empty for an unused slot."""
    pools = info.get("pools")
    listed = pools if isinstance(pools, list) else []
    return next((pool for pool in listed if isinstance(pool, dict) and parse_number(pool.get("id")) == slot), {})


def find_fan(info: Info, at: int) -> Info:
    """Return the fan that the miner reports at this position; empty if it has none."""
    fans = info.get("fans")
    fan = fans[at] if isinstance(fans, list) and at < len(fans) else None
    return fan if isinstance(fan, dict) else {}


def find_pool_slot(key: str, info: Info) -> tuple[int, str] | None:
    """Return the slot (AxeOS ≥ 2.15) and the member of the pool that a setting refers to; None for other settings."""
    if key in _OWN_NAMES:
        index, default_slot = _INDEXES[key not in POOL_KEYS]
        return read_pool_index(info, index, default_slot), _OWN_NAMES[key]
    place = SETTINGS[key].list_item
    return (place.item_number, SETTINGS[key].fields[0]) if place and place.list_name == "pools" else None


def read_pool_index(info: Info, name: str, default_slot: int) -> int:
    index = parse_number(info.get(name))
    return default_slot if index is None else int(index)


def find_flat_key(slot: int, member: str, info: Info) -> str | None:
    """Return the flat key of a pool that is in use, as the primary or the fallback; None for another slot."""
    primary, secondary = (read_pool_index(info, name, default_slot) for name, default_slot in _INDEXES)
    return member if slot == primary else build_fallback_key(member) if slot == secondary else None


_OWN_NAMES = {**{build_fallback_key(key): key for key in POOL_KEYS}, **{key: key for key in POOL_KEYS}}
# The settings with the slot of the primary and of the fallback, and the slot if the miner does not report it.
_INDEXES = (("primaryPoolIndex", 0), ("secondaryPoolIndex", 1))


def is_fan_speed_reading(setting: Setting, info: Info) -> bool:
    """Return True if this firmware reports the manual fan speed only as the reading `fanspeed`.

    Up to AxeOS 2.1.8 (which reports the tachometer as `fanSpeed`) `fanspeed` is the setting itself. In later firmware
    it is close to the setting while the fan is in manual mode.
    """
    return setting.key == "manualFanSpeed" and "manualFanSpeed" not in info and "fanSpeed" not in info


def has_value(setting: Setting, value: Any, info: Info) -> bool:
    """Return True if the miner reports `value`. A reading in place of the setting may differ by 1 %."""
    actual = read_present_value(setting, info)
    if is_fan_speed_reading(setting, info):
        wanted, measured = parse_number(value), parse_number(actual)
        return wanted is not None and measured is not None and abs(wanted - measured) <= 1
    return is_same_value(value, actual)


def has_other_value(setting: Setting, value: Any, info: Info) -> bool:
    """Return True if the miner reports a value other than `value`. An unreported setting does not differ."""
    return read_present_value(setting, info) is not None and not has_value(setting, value, info)


def is_same_value(wanted: Any, actual: Any) -> bool:
    """Return True if two values are equal. As in firmware, numbers may be quoted and have 32-bit precision, and true
    is 1."""
    if isinstance(wanted, str) and isinstance(actual, str):
        return wanted == actual
    left, right = (parse_flag(each) if isinstance(each, bool) else parse_number(each) for each in (wanted, actual))
    if left is not None and right is not None:
        return math.isclose(left, right, rel_tol=1e-6)
    return bool(wanted == actual)
