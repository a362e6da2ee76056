"""Parsers of setting values. Each checks one value and returns it in its normal form. Those with limits are objects, so
that a form can show the limits.

They raise ValueError with the accepted values, never with the value itself, which may be a password. Sources: the PATCH
table of AxeOS v2.0 to v2.15 and NerdOS' type-strict handler.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class WholeNumberParser:
    """Accepts whole numbers from `low` to `high`."""

    low: int
    high: int

    def __call__(self, value: Any) -> int:
        parsed = parse_number(value)
        if parsed is None or not parsed.is_integer() or not self.low <= parsed <= self.high:
            raise ValueError(f"Must be a whole number from {self.low} to {self.high}.")
        return int(parsed)


@dataclass(frozen=True, slots=True)
class DecimalParser:
    """Accepts numbers from `low` to `high`."""

    low: float
    high: float

    def __call__(self, value: Any) -> float | int:
        parsed = parse_number(value)
        if parsed is None or not self.low <= parsed <= self.high:
            raise ValueError(f"Must be a number from {self.low:g} to {self.high:g}.")
        return int(parsed) if parsed.is_integer() else parsed


@dataclass(frozen=True, slots=True)
class ChoiceParser:
    """Accepts the listed values only."""

    values: tuple[Value, ...]

    def __call__(self, value: Any) -> Value:
        parsed = parse_number(value) if isinstance(self.values[0], int) else value
        found = [known for known in self.values if known == parsed]
        if not found:
            raise ValueError(f"Must be one of {', '.join(map(str, self.values))}.")
        return found[0]


@dataclass(frozen=True, slots=True)
class TextParser:
    """Accepts text of `min_bytes` to `max_bytes` bytes in which every character is `allowed`."""

    max_bytes: int
    allowed: re.Pattern[str] = _PRINTABLE
    min_bytes: int = 0

    def __call__(self, value: Any) -> str:
        if not (
            isinstance(value, str)
            and self.min_bytes <= len(value.encode()) <= self.max_bytes
            and self.allowed.fullmatch(value)
        ):
            limits = f"{self.min_bytes} to {self.max_bytes}"
            raise ValueError(f"Must be text of {limits} bytes without control characters or markup.")
        return value


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


def parse_certificate(value: Any) -> str:
    """Return a PEM text including its line ends. Firmware stores 3000 bytes."""
    return TextParser(3000, _PEM)(value)


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
    return TextParser(MAX_PASSWORD_BYTES)(value)
