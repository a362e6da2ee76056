"""Which keys PATCH /api/system knows, per firmware, and how it reads their values. Tables and small readers.

A reader returns the value to store, `IGNORED` when the firmware passes over it, or raises `Refused` (the whole request
is 400) or `Crash` (the firmware dies of it).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .generations import GENERATIONS, Generation
from .settings import fallback_name

IGNORED = object()
U16 = 65535
NEVER = (99, 0)


class Refused(Exception):
    """A value that validation does not accept."""


class Crash(Exception):
    """A value that the firmware does not survive."""


Reader = Callable[[Any], Any]


@dataclass(frozen=True)
class Rule:
    """One key. `store`: its name in the settings store; in AxeOS from `since` to before `until`."""

    key: str
    read: Reader
    store: str = ""
    since: tuple[int, int] = (0, 0)
    until: tuple[int, int] = NEVER

    @property
    def target(self) -> str:
        """Where the value goes."""
        return self.store or self.key


# --- readers of AxeOS ≤ 2.10: C without checks; cJSON's valueint of anything but a number or true is 0 ----------


def _valueint(value: Any) -> int:
    return int(value) if isinstance(value, int | float) else 0


def _u16(value: Any) -> int:
    return _valueint(value) & U16


def _signed(value: Any) -> int:
    return _valueint(value)


def _positive(value: Any) -> Any:
    return _u16(value) if _valueint(value) > 0 else IGNORED


def _positive_real(value: Any) -> Any:
    return value if not isinstance(value, bool) and isinstance(value, int | float) and value > 0 else IGNORED


def _zero(value: Any) -> int:
    """overheat_mode: whatever was sent, the latch is cleared."""
    return 0


def _text_or_crash(value: Any) -> str:
    if not isinstance(value, str):
        raise Crash
    return value


def _text_or_nothing(value: Any) -> Any:
    return value if isinstance(value, str) else IGNORED


# --- readers of AxeOS ≥ 2.11: a table of types and ranges -------------------------------------------------------


def _whole(low: int, high: int) -> Reader:
    def read(value: Any) -> int:
        number = _strict_real(value, low, high)
        if number != int(number):
            raise Refused
        return int(number)

    return read


def _real(low: float, high: float) -> Reader:
    return lambda value: _strict_real(value, low, high)


def _strict_real(value: Any, low: float, high: float) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise Refused
    return value


def _flag(value: Any) -> int:
    if value not in (0, 1) or isinstance(value, str):
        raise Refused
    return int(value)


def _text(low: int, high: int) -> Reader:
    def read(value: Any) -> str:
        if not isinstance(value, str) or not low <= len(value.encode()) <= high:
            raise Refused
        return value

    return read


def _one_of(*known: Any) -> Reader:
    def read(value: Any) -> Any:
        if isinstance(value, bool) or value not in known:
            raise Refused
        return value

    return read


# --- readers of NerdOS: ArduinoJson's is<T>(); what does not match is passed over -------------------------------


def _is_int(value: Any) -> Any:
    return value if isinstance(value, int) and not isinstance(value, bool) else IGNORED


def _is_bool(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else IGNORED


# --- the tables -------------------------------------------------------------------------------------------------


def _lenient(text: Reader, frequency: Reader) -> tuple[Rule, ...]:
    texts = ("stratumURL", "stratumUser", "stratumPassword", "ssid", "wifiPass")
    later = ("fallbackStratumURL", "fallbackStratumUser", "fallbackStratumPassword")
    return (
        *(Rule(key, text) for key in texts),
        *(Rule(key, text, since=(2, 3)) for key in later),
        Rule("hostname", text, since=(2, 1)),
        Rule("stratumPort", _u16),
        Rule("fallbackStratumPort", _u16, since=(2, 3)),
        Rule("frequency", frequency),
        Rule("coreVoltage", _positive),
        Rule("autofanspeed", _u16),
        Rule("fanspeed", _u16, store="manualFanSpeed"),
        Rule("flipscreen", _u16, until=(2, 9)),
        Rule("invertscreen", _u16),
        Rule("invertfanpolarity", _u16, until=(2, 7)),
        Rule("overheat_mode", _zero, since=(2, 2)),
        Rule("overclockEnabled", _u16, since=(2, 6)),
        Rule("temptarget", _u16, since=(2, 7)),
        Rule("displayTimeout", _signed, since=(2, 7)),
        Rule("display", text, since=(2, 8)),
        Rule("rotation", _u16, since=(2, 9)),
        Rule("statsFrequency", _u16, since=(2, 9)),
        Rule("stratumSuggestedDifficulty", _u16, since=(2, 9)),
        Rule("stratumExtranonceSubscribe", _u16, since=(2, 9)),
        Rule("fallbackStratumSuggestedDifficulty", _u16, since=(2, 9)),
        Rule("fallbackStratumExtranonceSubscribe", _u16, since=(2, 9)),
        Rule("minFanSpeed", _u16, since=(2, 10)),
    )


_POOL = {
    "stratumURL": _text(0, 255),
    "stratumPort": _whole(0, U16),
    "stratumUser": _text(0, 255),
    "stratumPassword": _text(0, 255),
    "stratumSuggestedDifficulty": _whole(0, U16),
    "stratumExtranonceSubscribe": _flag,
}
_POOL_LATER = {
    "stratumTLS": _whole(0, 3),
    "stratumCert": _text(0, 3000),
    "stratumDecodeCoinbase": _flag,
    "stratumProtocol": _one_of("SV1", "SV2"),
    "stratumV2ChannelType": _text(0, 32),
    "stratumV2AuthorityPubkey": _text(0, 128),
}
# Since 2.15 the flat stratum keys are reported but no longer written: 200, and nothing happens.
_FLAT_GONE = (2, 15)

_STRICT = (
    *(Rule(key, read, until=_FLAT_GONE) for key, read in _POOL.items()),
    *(Rule(fallback_name(key), read, until=_FLAT_GONE) for key, read in _POOL.items()),
    *(Rule(key, read, since=(2, 13), until=_FLAT_GONE) for key, read in _POOL_LATER.items()),
    *(Rule(fallback_name(key), read, since=(2, 13), until=_FLAT_GONE) for key, read in _POOL_LATER.items()),
    Rule("frequency", _real(1, U16)),
    Rule("coreVoltage", _whole(1, U16)),
    Rule("autofanspeed", _flag),
    Rule("manualFanSpeed", _whole(0, 100)),
    Rule("minFanSpeed", _whole(0, 99)),
    Rule("temptarget", _whole(35, 66)),
    Rule("overheat_mode", _one_of(0)),
    Rule("overclockEnabled", _flag),
    Rule("statsFrequency", _whole(0, U16)),
    Rule("displayTimeout", _whole(-1, U16)),
    Rule("hostname", _text(1, 32)),
    Rule("ssid", _text(1, 32)),
    Rule("wifiPass", _text(0, 63)),
    Rule("display", _text(1, 64)),
    Rule("rotation", _one_of(0, 90, 180, 270)),
    Rule("invertscreen", _flag),
    Rule("displayOffset", _whole(-128, 127)),
    Rule("useFallbackStratum", _flag),
    Rule("useCustomWWW", _flag, since=(2, 15)),
    Rule("primaryPoolIndex", _whole(0, 7), since=(2, 15)),
    Rule("secondaryPoolIndex", _whole(0, 7), since=(2, 15)),
)

_NERD = (
    *(Rule(key, _is_int) for key in ("frequency", "coreVoltage", "manualFanSpeed", "autofanspeed")),
    *(Rule(key, _is_int) for key in ("stratumPort", "fallbackStratumPort")),
    *(Rule(key, _is_bool) for key in ("flipscreen", "invertscreen", "invertfanpolarity", "autoscreenoff")),
    *(Rule(key, _text_or_nothing) for key in ("hostname", "ssid", "wifiPass")),
    *(Rule(key, _text_or_nothing) for key in ("stratumURL", "stratumUser", "stratumPassword")),
    *(Rule(fallback_name(key), _text_or_nothing) for key in ("stratumURL", "stratumUser", "stratumPassword")),
    Rule("pidTargetTemp", _is_int, store="temptarget"),
    Rule("stratumDifficulty", _is_int, store="stratumSuggestedDifficulty"),
    Rule("stratumEnonceSubscribe", _is_bool, store="stratumExtranonceSubscribe"),
)

_TABLES: dict[str, tuple[Rule, ...]] = {
    "crashing": _lenient(_text_or_crash, _positive),
    "lenient": _lenient(_text_or_nothing, _positive),
    "lenient_real": _lenient(_text_or_nothing, _positive_real),
    "strict": _STRICT,
    "nerd": _NERD,
}


def _rules_of(generation: Generation) -> dict[str, Rule]:
    rules = _TABLES[generation.patch]
    if generation.nerd:
        return {rule.key: rule for rule in rules}
    return {rule.key: rule for rule in rules if rule.since <= generation.number < rule.until}


RULES: dict[str, dict[str, Rule]] = {name: _rules_of(row) for name, row in GENERATIONS.items()}
