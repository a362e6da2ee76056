"""Readers of one JSON value of a PATCH, as each firmware reads it.

A reader returns the value to store, or `IGNORED` if the firmware ignores the value. It raises `ValueRefusedError` if
the firmware refuses the whole request with 400, and `FirmwareCrashError` if the firmware crashes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

IGNORED = object()
U16 = 65535


class ValueRefusedError(Exception):
    """The firmware refuses the value."""


class FirmwareCrashError(Exception):
    """The firmware crashes because of the value."""


Reader = Callable[[Any], Any]


# Readers of AxeOS ≤ 2.10: no checks. The `valueint` of cJSON is 0 for every value except numbers and true.


def read_valueint(value: Any) -> int:
    """Return the integer part of a number, 1 for true, 0 for every other value."""
    return int(value) if isinstance(value, int | float) else 0


def read_u16(value: Any) -> int:
    """Return the lower 16 bits of the integer."""
    return read_valueint(value) & U16


def read_signed(value: Any) -> int:
    """Return the integer with its sign."""
    return read_valueint(value)


def read_positive(value: Any) -> Any:
    """Return the lower 16 bits of a positive number; ignore other values."""
    return read_u16(value) if read_valueint(value) > 0 else IGNORED


def read_positive_real(value: Any) -> Any:
    """Return a positive number with its decimals; ignore other values."""
    return value if not isinstance(value, bool) and isinstance(value, int | float) and value > 0 else IGNORED


def read_as_zero(value: Any) -> int:
    """Return 0 for every value: a client can only clear overheat_mode."""
    return 0


def read_text_or_crash(value: Any) -> str:
    """Return a text; crash for other types (AxeOS ≤ 2.4)."""
    if not isinstance(value, str):
        raise FirmwareCrashError
    return value


def read_text_or_ignore(value: Any) -> Any:
    """Return a text; ignore other types."""
    return value if isinstance(value, str) else IGNORED


# Readers of AxeOS ≥ 2.11: types and ranges.


def make_integer_reader(low: int, high: int) -> Reader:
    """Return a reader of integers from `low` to `high`."""

    def read_integer(value: Any) -> int:
        number = check_real(value, low, high)
        if number != int(number):
            raise ValueRefusedError
        return int(number)

    return read_integer


def make_real_reader(low: float, high: float) -> Reader:
    """Return a reader of numbers from `low` to `high`."""
    return lambda value: check_real(value, low, high)


def check_real(value: Any, low: float, high: float) -> Any:
    """Return a number from `low` to `high`. Raises: ValueRefusedError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueRefusedError
    return value


def read_flag(value: Any) -> int:
    """Return 0 or 1 for a flag. Raises: ValueRefusedError."""
    if value not in (0, 1) or isinstance(value, str):
        raise ValueRefusedError
    return int(value)


def make_text_reader(low: int, high: int) -> Reader:
    """Return a reader of texts with `low` to `high` bytes."""

    def read_text(value: Any) -> str:
        if not isinstance(value, str) or not low <= len(value.encode()) <= high:
            raise ValueRefusedError
        return value

    return read_text


def make_choice_reader(*known: Any) -> Reader:
    """Return a reader that accepts only the known values."""

    def read_choice(value: Any) -> Any:
        if isinstance(value, bool) or value not in known:
            raise ValueRefusedError
        return value

    return read_choice


# Readers of NerdOS: is<T>() of ArduinoJson; a value of another type is ignored.


def read_nerd_int(value: Any) -> Any:
    """Return an integer; ignore other types."""
    return value if isinstance(value, int) and not isinstance(value, bool) else IGNORED


def read_nerd_u16(value: Any) -> Any:
    """Return an unsigned 16-bit integer; ignore other values."""
    return value if read_nerd_int(value) is not IGNORED and 0 <= value <= U16 else IGNORED


def read_nerd_u32(value: Any) -> Any:
    """Return an unsigned 32-bit integer; ignore other values."""
    return value if read_nerd_int(value) is not IGNORED and 0 <= value < 2**32 else IGNORED


def read_nerd_real(value: Any) -> Any:
    """Return a number; ignore other types."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else IGNORED


def read_nerd_bool(value: Any) -> Any:
    """Return 0 or 1 for a boolean; ignore other types."""
    return int(value) if isinstance(value, bool) else IGNORED
