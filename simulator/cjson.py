"""JSON as the firmware's cJSON prints it: number formats, tab indentation up to AxeOS 2.13, compact from
2.14.

Pure functions. NaN and infinities become `null`, as cJSON does. Object members are one per line, arrays of
plain values stay on one line, an array of objects hugs its brackets (`[{`).
"""

from __future__ import annotations

import math
import struct
from json.encoder import encode_basestring

_FLOAT32 = struct.Struct("f")
_CJSON_INT_MAX = 2**31


def float32(value: float) -> float:
    """What a C `float` becomes when it is handed to cJSON as a double: 28.347776412963867 for 28.3478
    (AxeOS ≤ 2.10)."""
    return float(_FLOAT32.unpack(_FLOAT32.pack(value))[0])


def rounded7(value: float) -> float:
    """Seven decimals at most (AxeOS ≥ 2.11)."""
    return round(value, 7)


def exact(value: float) -> float:
    """A C `double`: all its digits (hashRate of AxeOS ≤ 2.10)."""
    return value


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(value) if abs(value) < _CJSON_INT_MAX * 1000 else _large(float(value))
    if not math.isfinite(value):
        return "null"
    if value.is_integer():
        return str(int(value)) if abs(value) < _CJSON_INT_MAX else _large(value)
    return repr(value)


def _large(value: float) -> str:
    """Beyond 2³¹ cJSON tries %1.15g and, if that does not read back the same, %1.17g."""
    short = f"{value:.15g}"
    return short if float(short) == value else f"{value:.17g}"


def compact(value: object) -> str:
    """`{"a":1,"b":[1,2]}` (AxeOS ≥ 2.14, NerdOS)."""
    if type(value) in (float, int):
        return _number(value)  # type: ignore[arg-type]  # the line above
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return "{" + ",".join(f"{compact(str(key))}:{compact(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(compact, value)) + "]"
    raise TypeError(f"cannot print {type(value).__name__}")


def tabbed(value: object, depth: int = 0) -> str:
    """cJSON_Print: `{\\n\\t"a":\\t1\\n}` (AxeOS ≤ 2.13)."""
    if isinstance(value, dict):
        inside = "\t" * (depth + 1)
        rows = [f"{inside}{compact(str(key))}:\t{tabbed(item, depth + 1)}" for key, item in value.items()]
        return "{\n" + ",\n".join(rows) + "\n" + "\t" * depth + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(tabbed(item, depth + 1) for item in value) + "]"
    return compact(value)


def tabbed_member(value: object) -> str:
    """The value of a member of the outermost object."""
    return tabbed(value, 1)


def best_text_short(value: float) -> str:
    """bestDiff of AxeOS ≤ 2.7 and NerdOS ≤ 1.0.33: `5.56G`, `193G`, and, by %.3g's own rounding, `1e+03k`."""
    scaled, suffix = _scaled(value)
    return f"{scaled:.3g}{suffix}"


def best_text_spaced(value: float) -> str:
    """bestDiff of AxeOS 2.10: `572.14 M`, and `123 ` (with the space) below 1000."""
    scaled, suffix = _scaled(value)
    return f"{scaled:.2f} {suffix}" if suffix else f"{int(value)} "


def best_number(value: float) -> int:
    """bestDiff of AxeOS ≥ 2.11: a plain number."""
    return int(value)


def _scaled(value: float) -> tuple[float, str]:
    """Value and suffix; `k` is lower case, the rest upper."""
    for power, suffix in ((18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if value >= 10**power:
            return value / 10**power, suffix
    return float(int(value)), ""
