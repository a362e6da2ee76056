"""Parse the values of a device's answer: finite numbers, 0/1 flags, amounts and difficulties, or None."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

Info = Mapping[str, Any]
Fields = tuple[str, ...]

_NUMERIC = re.compile(r"(?a)[+-]?\d{1,20}(\.\d{1,20})?([eE][+-]?\d{1,3})?")
_DIFFICULTY = re.compile(r"(?a)(\d{1,20}(?:\.\d{1,20})?(?:[eE][+-]?\d{1,2})?) ?([kKMGTPE]?) ?")
_SUFFIX = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}


def parse_number(value: object) -> float | None:
    """Return a finite number, also from a string (some forks quote numbers); None for anything else, such as a
    boolean."""
    if isinstance(value, str):
        value = float(value) if _NUMERIC.fullmatch(value.strip()) else None
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    converted = float(value)
    return converted if math.isfinite(converted) else None


def parse_flag(value: object) -> float | None:
    """Return 0.0 or 1.0 for a boolean or the number 0 or 1, else None. AxeOS 2.14 changed fields from one to the
    other."""
    if isinstance(value, bool):
        return float(value)
    read = parse_number(value)
    return read if read in (0.0, 1.0) else None


def divide_finite(part: float, whole: float) -> float | None:
    """Return the quotient, or None if it is not a finite number."""
    quotient = part / whole if whole else math.inf
    return quotient if math.isfinite(quotient) else None


def find_first_value(info: Info, fields: Fields) -> object:
    """Return the value of the first of `fields` that the answer has, or None."""
    for field in fields:  # not next() over a generator: it took a third of the time of all measures
        if field in info:
            return info[field]
    return None


def read_number(info: Info, fields: Fields) -> float | None:
    return parse_number(find_first_value(info, fields))


def read_amount(info: Info, fields: Fields, scale: float = 1.0) -> float | None:
    """Return a rate or count, divided by `scale`; None if it is negative."""
    value = parse_number(find_first_value(info, fields))
    return value / scale if value is not None and value >= 0 else None


read_milli = partial(read_amount, scale=1000.0)


def read_flag(info: Info, fields: Fields) -> float | None:
    return parse_flag(find_first_value(info, fields))


def read_difficulty(info: Info, fields: Fields) -> float | None:
    """Return a difficulty. It is a number since AxeOS 2.11 and text before: "5.56G" (2.7), "572.14M" (2.8),
    "572.14 M" (2.10), "1e+03k", "0"."""
    value = find_first_value(info, fields)
    if not isinstance(value, str):
        return read_amount(info, fields)
    match = _DIFFICULTY.fullmatch(value)
    return float(match[1]) * _SUFFIX[match[2]] if match else None


def read_hashrate(info: Info, fields: Fields = ("hashRate", "hashRate_10m")) -> float | None:
    """Return the hashrate in GH/s. NerdQAxe+ 1.0.3x has only `hashRate_10m`; a `hashRate` of 0 is a reading."""
    for field in fields:
        value = parse_number(info.get(field))
        if value is not None and value >= 0:
            return value
    return None
