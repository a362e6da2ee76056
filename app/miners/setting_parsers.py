"""Parsers of setting values. Each checks one value and returns it in its normal form.

They raise ValueError with the accepted values, never with the value itself, which may be a password. Sources: the PATCH
table of AxeOS v2.0 to v2.15 and NerdOS' type-strict handler.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from app.miners.values import parse_flag, parse_number

Value = str | int | float | bool
ValueParser = Callable[[Any], Value]

# Shown in place of a password, by firmware and by this service.
MASK = "*****"
MAX_PASSWORD_BYTES = 128

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,253}[A-Za-z0-9])?")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,30}[A-Za-z0-9])?")
_SCHEME = re.compile(r"(?i)stratum2?\+(tcp|tls|ssl)://")
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f<>]*")
_PEM = re.compile(r"[^\x00-\x09\x0b\x0c\x0e-\x1f\x7f<>]*")


def whole_number_parser(low: int, high: int) -> ValueParser:
    def parse_value(value: Any) -> int:
        parsed = parse_number(value)
        if parsed is None or not parsed.is_integer() or not low <= parsed <= high:
            raise ValueError(f"Must be a whole number from {low} to {high}.")
        return int(parsed)

    return parse_value


def decimal_parser(low: float, high: float) -> ValueParser:
    def parse_value(value: Any) -> float | int:
        parsed = parse_number(value)
        if parsed is None or not low <= parsed <= high:
            raise ValueError(f"Must be a number from {low:g} to {high:g}.")
        return int(parsed) if parsed.is_integer() else parsed

    return parse_value


def parse_frequency(value: Any) -> float | int:
    """Return MHz. AxeOS accepts fractions since 2.10. The limits of a chip are in limits.py."""
    parsed = parse_number(value)
    if parsed is None or not 1 <= parsed <= 65535:
        raise ValueError("Must be a number of MHz from 1 to 65535.")
    return int(parsed) if parsed.is_integer() else parsed


def parse_whole_frequency(value: Any) -> int:
    """Return whole MHz, for firmware with a C int (AxeOS up to 2.9) or ArduinoJson's is<uint16_t> (NerdOS)."""
    parsed = parse_frequency(value)
    if not isinstance(parsed, int):
        raise ValueError("Must be a whole number of MHz on this firmware.")
    return parsed


def parse_switch(value: Any) -> bool:
    parsed = parse_flag(value)
    if parsed is None:
        raise ValueError("Must be true or false.")
    return bool(parsed)


def parse_fan_mode(value: Any) -> bool | int:
    """Return a boolean (True is "automatic" in any firmware) or NerdOS' number: 0 manual, 1 curve, 2 PID."""
    if isinstance(value, bool):
        return value
    parsed = parse_number(value)
    if parsed not in (0, 1, 2):
        raise ValueError("Must be true or false, or 0, 1 or 2.")
    return int(parsed)


def parse_axeos_fan_mode(value: Any) -> int:
    return int(bool(parse_fan_mode(value)))


def parse_nerdos_fan_mode(value: Any) -> int:
    """Return NerdOS' number. "Automatic" is its PID mode; the older curve needs an explicit 1."""
    parsed = parse_fan_mode(value)
    return (2 if parsed else 0) if isinstance(parsed, bool) else parsed


def parse_protocol_number(value: Any) -> int:
    """Return NerdOS' number of a stratum protocol, also for its name in AxeOS."""
    named = {"SV1": 0, "SV2": 1}.get(value) if isinstance(value, str) else None
    parsed = parse_number(value) if named is None else named
    if parsed not in (0, 1):
        raise ValueError("Must be 0 or 1 (SV1 or SV2).")
    return int(parsed)


def choice_parser(*values: Value) -> ValueParser:
    def parse_value(value: Any) -> Value:
        parsed = parse_number(value) if isinstance(values[0], int) else value
        found = [known for known in values if known == parsed]
        if not found:
            raise ValueError(f"Must be one of {', '.join(map(str, values))}.")
        return found[0]

    return parse_value


def text_parser(max_bytes: int, allowed: re.Pattern[str] = _PRINTABLE, min_bytes: int = 0) -> ValueParser:
    def parse_value(value: Any) -> str:
        if not (isinstance(value, str) and min_bytes <= len(value.encode()) <= max_bytes and allowed.fullmatch(value)):
            raise ValueError(f"Must be text of {min_bytes} to {max_bytes} bytes without control characters or markup.")
        return value

    return parse_value


def parse_certificate(value: Any) -> str:
    """Return a PEM text including its line ends. Firmware stores 3000 bytes."""
    return str(text_parser(3000, _PEM)(value))


def parse_hostname(value: Any) -> str:
    if not isinstance(value, str) or not _LABEL.fullmatch(value):
        raise ValueError("Must be 1 to 32 letters, digits, - or _.")
    return value


def parse_pool_host(value: Any) -> str:
    """Return a host without scheme. The firmware would not remove the scheme."""
    host = _SCHEME.sub("", value.strip()) if isinstance(value, str) else ""
    if not _HOST.fullmatch(host):
        raise ValueError("Must be the host of a pool, without path and port.")
    return host


def parse_optional_pool_host(value: Any) -> str:
    return "" if value == "" else parse_pool_host(value)


def parse_password(value: Any) -> str:
    if value == MASK:
        raise ValueError(f"{MASK} is the mask of a hidden password, not a password.")
    return str(text_parser(MAX_PASSWORD_BYTES)(value))
