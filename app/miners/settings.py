"""What can be set on a miner from here: an allow-list. A setting is a row; everything else a client sends is telemetry.

Kinds judge and normalise one value; they raise ValueError with what would be right. Sources: the PATCH table of AxeOS
v2.0 to v2.15 and NerdOS' type-strict handler.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.miners.telemetry import flag, number

Value = str | int | float | bool
Kind = Callable[[Any], Value]

MASK = "*****"

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,253}[A-Za-z0-9])?")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,30}[A-Za-z0-9])?")
_SCHEME = re.compile(r"(?i)stratum2?\+(tcp|tls|ssl)://")
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f<>]*")
_PEM = re.compile(r"[^\x00-\x09\x0b\x0c\x0e-\x1f\x7f<>]*")


@dataclass(frozen=True, slots=True)
class Setting:
    """`fields`: where the firmware reports it, newest name first. `live`: acts without a restart on AxeOS. `secret`:
    never reported, stored or shown."""

    key: str
    kind: Kind
    fields: tuple[str, ...]
    live: bool = False
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One setting that is to differ: what was asked for, and what the miner runs (None where it does not say)."""

    setting: Setting
    value: Value
    present: Any

    @property
    def key(self) -> str:
        return self.setting.key


def _whole(low: int, high: int) -> Kind:
    def kind(value: Any) -> int:
        parsed = number(value)
        if parsed is None or not parsed.is_integer() or not low <= parsed <= high:
            raise ValueError(f"Must be a whole number from {low} to {high}.")
        return int(parsed)

    return kind


def _positive(value: Any) -> float | int:
    parsed = number(value)
    if parsed is None or parsed <= 0:
        raise ValueError("Must be a number above 0.")
    return int(parsed) if parsed.is_integer() else parsed


def _flag(value: Any) -> bool:
    parsed = flag(value)
    if parsed is None:
        raise ValueError("Must be true or false.")
    return bool(parsed)


def _one_of(*values: Value) -> Kind:
    def kind(value: Any) -> Value:
        parsed = number(value) if isinstance(values[0], int) else value
        if parsed not in values:
            raise ValueError(f"Must be one of {', '.join(map(str, values))}.")
        return next(known for known in values if known == parsed)

    return kind


def _text(most: int, allowed: re.Pattern[str] = _PRINTABLE, least: int = 0) -> Kind:
    def kind(value: Any) -> str:
        if not isinstance(value, str) or not least <= len(value.encode()) <= most or not allowed.fullmatch(value):
            raise ValueError(f"Must be text of {least} to {most} bytes without control characters or markup.")
        return value

    return kind


def _hostname(value: Any) -> str:
    if not isinstance(value, str) or not _LABEL.fullmatch(value):
        raise ValueError("Must be 1 to 32 letters, digits, - or _.")
    return value


def _pool_host(value: Any) -> str:
    """A bare host: the firmware strips no scheme, so we do."""
    host = _SCHEME.sub("", value.strip()) if isinstance(value, str) else ""
    if not _HOST.fullmatch(host):
        raise ValueError("Must be the host of a pool, without scheme and port.")
    return host


def _optional_pool_host(value: Any) -> str:
    return "" if value == "" else _pool_host(value)


def _password(value: Any) -> str:
    if value == MASK:
        raise ValueError(f"{MASK} is how a miner hides its password, not a password.")
    return str(_text(128)(value))


def _setting(key: str, kind: Kind, *also: str, live: bool = False, secret: bool = False) -> Setting:
    return Setting(key, kind, (key, *also), live, secret)


_POOL_KINDS: dict[str, Kind] = {
    "stratumURL": _pool_host,
    "stratumPort": _whole(1, 65535),
    "stratumUser": _text(255, least=1),
    "stratumPassword": _password,
    "stratumSuggestedDifficulty": _whole(0, 65535),
    "stratumExtranonceSubscribe": _flag,
    "stratumTLS": _whole(0, 3),
    "stratumCert": _text(3000, _PEM),
    "stratumDecodeCoinbase": _flag,
    "stratumProtocol": _one_of("SV1", "SV2"),
    "stratumV2ChannelType": _text(32),
    "stratumV2AuthorityPubkey": _text(128),
}
POOL_KEYS = tuple(_POOL_KINDS)


def fallback_key(key: str) -> str:
    """`stratumURL` → `fallbackStratumURL`."""
    return f"fallback{key[0].upper()}{key[1:]}"


FALLBACK_KEYS = tuple(map(fallback_key, POOL_KEYS))
_FALLBACK_KINDS = {"stratumURL": _optional_pool_host, "stratumUser": _text(255)}


def _pool_settings() -> list[Setting]:
    """Both pools: a fallback may be empty, the primary may not."""
    rows = [_setting(key, kind, secret=key == "stratumPassword") for key, kind in _POOL_KINDS.items()]
    for key, kind in _POOL_KINDS.items():
        name = fallback_key(key)
        rows.append(_setting(name, _FALLBACK_KINDS.get(key, kind), secret=name == "fallbackStratumPassword"))
    return rows


_ROWS = (
    _setting("frequency", _positive, live=True),
    _setting("coreVoltage", _whole(1, 65535), live=True),
    _setting("autofanspeed", _whole(0, 2), live=True),
    # Before 2.11 the setting is called `fanspeed`, which later is a reading.
    _setting("manualFanSpeed", _whole(0, 100), "fanspeed", live=True),
    _setting("minFanSpeed", _whole(0, 99), live=True),
    _setting("temptarget", _whole(35, 66), live=True),
    _setting("pidTargetTemp", _whole(35, 66), live=True),
    _setting("overheat_mode", _one_of(0), live=True),
    _setting("overclockEnabled", _flag, live=True),
    _setting("statsFrequency", _whole(0, 65535), live=True),
    _setting("displayTimeout", _whole(-1, 65535), live=True),
    _setting("hostname", _hostname),
    _setting("display", _text(64, least=1)),
    _setting("rotation", _one_of(0, 90, 180, 270)),
    _setting("invertscreen", _flag),
    _setting("flipscreen", _flag),
    _setting("invertfanpolarity", _flag),
    _setting("autoscreenoff", _flag),
    _setting("useFallbackStratum", _flag),
    _setting("primaryPoolIndex", _whole(0, 7)),
    _setting("secondaryPoolIndex", _whole(0, 7)),
    *_pool_settings(),
)
SETTINGS: dict[str, Setting] = {row.key: row for row in _ROWS}


def present(setting: Setting, info: Mapping[str, Any]) -> Any:
    """What the miner says it runs; None where it does not say."""
    return next((info[field] for field in setting.fields if field in info), None)


def same(wanted: Any, actual: Any) -> bool:
    """Numbers by value, whatever their type or quotes; true is 1."""
    left, right = (flag(each) if isinstance(each, bool) else number(each) for each in (wanted, actual))
    if left is not None and right is not None:
        return left == right
    return bool(wanted == actual)


def changes(wanted: Mapping[str, Any], info: Mapping[str, Any]) -> tuple[list[Change], dict[str, list[str]]]:
    """What of `wanted` differs from what the miner runs, and what is wrong with it, by key.

    A value equal to the present one is not judged: clients send whole device objects back, odd values and all.
    """
    found: list[Change] = []
    problems: dict[str, list[str]] = {}
    for key, value in _settable(wanted, info).items():
        setting = SETTINGS[key]
        actual = present(setting, info)
        if (setting.secret and value in (None, "", MASK)) or (actual is not None and same(value, actual)):
            continue
        try:
            normal = setting.kind(value)
        except ValueError as error:
            problems[key] = [str(error)]
            continue
        if not same(normal, actual) or actual is None:
            found.append(Change(setting, normal, actual))
    return found, problems


def _settable(wanted: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, Any]:
    """The settings among what a client sent. `fanspeed` is one only where the firmware has no other name for it and the
    fan is, or is to be, set by hand: otherwise it is a reading that has moved since the client took it."""
    chosen = {key: value for key, value in wanted.items() if key in SETTINGS}
    by_hand = same(wanted.get("autofanspeed", info.get("autofanspeed")), 0)
    if "fanspeed" in wanted and "manualFanSpeed" not in wanted and "manualFanSpeed" not in info and by_hand:
        chosen["manualFanSpeed"] = wanted["fanspeed"]
    return chosen
