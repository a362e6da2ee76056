"""How firmware reads the values of a PATCH: small readers of one JSON value each.

A reader returns the value to store, `IGNORED` when the firmware passes over it, or raises `ValueRefusedError` (the
whole request is 400) or `FirmwareCrashError`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

IGNORED = object()
U16 = 65535


class ValueRefusedError(Exception):
    """A value that validation does not accept."""


class FirmwareCrashError(Exception):
    """A value that the firmware does not survive."""


Reader = Callable[[Any], Any]


# Readers of AxeOS ≤ 2.10: C without checks; cJSON's valueint of anything but a number or true is 0.


def valueint(value: Any) -> int:
    return int(value) if isinstance(value, int | float) else 0


def u16(value: Any) -> int:
    return valueint(value) & U16


def signed(value: Any) -> int:
    return valueint(value)


def positive(value: Any) -> Any:
    return u16(value) if valueint(value) > 0 else IGNORED


def positive_real(value: Any) -> Any:
    return value if not isinstance(value, bool) and isinstance(value, int | float) and value > 0 else IGNORED


def zero(value: Any) -> int:
    """overheat_mode: whatever was sent, the latch is cleared."""
    return 0


def text_or_crash(value: Any) -> str:
    if not isinstance(value, str):
        raise FirmwareCrashError
    return value


def text_or_nothing(value: Any) -> Any:
    return value if isinstance(value, str) else IGNORED


# Readers of AxeOS ≥ 2.11: a table of types and ranges.


def whole(low: int, high: int) -> Reader:
    def read(value: Any) -> int:
        number = strict_real(value, low, high)
        if number != int(number):
            raise ValueRefusedError
        return int(number)

    return read


def real(low: float, high: float) -> Reader:
    return lambda value: strict_real(value, low, high)


def strict_real(value: Any, low: float, high: float) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueRefusedError
    return value


def flag(value: Any) -> int:
    if value not in (0, 1) or isinstance(value, str):
        raise ValueRefusedError
    return int(value)


def text(low: int, high: int) -> Reader:
    def read(value: Any) -> str:
        if not isinstance(value, str) or not low <= len(value.encode()) <= high:
            raise ValueRefusedError
        return value

    return read


def one_of(*known: Any) -> Reader:
    def read(value: Any) -> Any:
        if isinstance(value, bool) or value not in known:
            raise ValueRefusedError
        return value

    return read


# Readers of NerdOS: ArduinoJson's is<T>(); what does not match is passed over.


def is_int(value: Any) -> Any:
    return value if isinstance(value, int) and not isinstance(value, bool) else IGNORED


def is_u16(value: Any) -> Any:
    return value if is_int(value) is not IGNORED and 0 <= value <= U16 else IGNORED


def is_u32(value: Any) -> Any:
    return value if is_int(value) is not IGNORED and 0 <= value < 2**32 else IGNORED


def is_real(value: Any) -> Any:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else IGNORED


def is_bool(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else IGNORED
