"""What can be set on a miner from here: an allow-list. A setting is a row; everything else a client sends is telemetry.

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
from app.miners.telemetry import flag, number


@dataclass(frozen=True, slots=True)
class Setting:
    """`fields`: where firmware reports it, AxeOS' newest name first. `live`: acts without a restart on AxeOS.
    `secret`: never reported or shown. `preset`: may be part of a preset, which is for many miners."""

    key: str
    kind: Kind
    fields: tuple[str, ...]
    live: bool = False
    secret: bool = False
    preset: bool = True


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
# NerdOS' own names for two of them, and for the temperature that its fan aims at.
NERD_NAMES = {
    "stratumSuggestedDifficulty": "stratumDifficulty",
    "stratumExtranonceSubscribe": "stratumEnonceSubscribe",
    "temptarget": "pidTargetTemp",
}


def fallback_key(key: str) -> str:
    """`stratumURL` → `fallbackStratumURL`."""
    return f"fallback{key[0].upper()}{key[1:]}"


FALLBACK_KEYS = tuple(map(fallback_key, POOL_KEYS))
# A fallback may be empty, the primary may not.
_FALLBACK_KINDS = _POOL_KINDS | {"stratumURL": kinds.optional_pool_host, "stratumUser": kinds.text(255)}

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
    _setting("useFallbackStratum", kinds.switch),
    _setting("primaryPoolIndex", kinds.whole(0, 7), preset=False),
    _setting("secondaryPoolIndex", kinds.whole(0, 7), preset=False),
    *(_setting(key, kind, *filter(None, [NERD_NAMES.get(key)])) for key, kind in _POOL_KINDS.items()),
    *(_setting(fallback_key(key), kind) for key, kind in _FALLBACK_KINDS.items()),
)
SETTINGS: dict[str, Setting] = {row.key: row for row in _ROWS}
# Other names under which clients may ask for a setting.
ALIASES = {name: key for key, name in NERD_NAMES.items()} | {"fanspeed": "manualFanSpeed"}
WIFI_KEYS = ("ssid", "wifiPass")


def present(setting: Setting, info: Mapping[str, Any]) -> Any:
    """What the miner says it runs; None where it does not say."""
    if fan_is_a_reading(setting, info) and not same(info.get("autofanspeed"), 0):
        return None
    return next((info[field] for field in setting.fields if field in info), None)


def fan_is_a_reading(setting: Setting, info: Mapping[str, Any]) -> bool:
    """Whether `fanspeed` is all that this firmware says of the manual fan speed. It is the setting itself up to AxeOS
    2.1.8 (which has `fanSpeed` for the tachometer), and where the fan is set by hand it is near it."""
    return setting.key == "manualFanSpeed" and "manualFanSpeed" not in info and "fanSpeed" not in info


def runs(setting: Setting, value: Any, info: Mapping[str, Any]) -> bool:
    """Whether the miner says that it runs `value`; a reading in place of the setting may be 1 % off."""
    actual = present(setting, info)
    if fan_is_a_reading(setting, info):
        wanted, measured = number(value), number(actual)
        return wanted is not None and measured is not None and abs(wanted - measured) <= 1
    return same(value, actual)


def runs_otherwise(setting: Setting, value: Any, info: Mapping[str, Any]) -> bool:
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
