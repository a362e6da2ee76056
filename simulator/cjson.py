"""JSON with the numbers that the cJSON of the firmware prints: integral floats have no decimals, NaN is null.

The white space is that of cJSON_PrintUnformatted for every firmware. AxeOS ≤ 2.13 indents with tabs; the simulator does
not, because no client depends on it.
"""

from __future__ import annotations

import math
import struct
from json.encoder import encode_basestring

_FLOAT32 = struct.Struct("f")
_CJSON_INT_MAX = 2**31


def round_to_float32(value: float) -> float:
    """Return a C `float` as the double that cJSON prints: 28.347776412963867 for 28.3478 (AxeOS ≤ 2.10)."""
    return float(_FLOAT32.unpack(_FLOAT32.pack(value))[0])


def round_to_7_decimals(value: float) -> float:
    """Return a float with at most seven decimals (AxeOS ≥ 2.11)."""
    return round(value, 7)


def keep_all_digits(value: float) -> float:
    """Return a C `double` unchanged (hashRate of AxeOS ≤ 2.10)."""
    return value


def _print_number(value: float) -> str:
    if isinstance(value, int):
        return str(value) if abs(value) < _CJSON_INT_MAX * 1000 else _print_large(float(value))
    if not math.isfinite(value):
        return "null"
    if value.is_integer():
        return str(int(value)) if abs(value) < _CJSON_INT_MAX else _print_large(value)
    return repr(value)


def _print_large(value: float) -> str:
    """Print a number beyond 2³¹ as %1.15g or, if that does not read back as the same number, as %1.17g."""
    short = f"{value:.15g}"
    return short if float(short) == value else f"{value:.17g}"


def print_json(value: object) -> str:
    """Return compact JSON: `{"a":1,"b":[1,2]}`. Raises: TypeError for other types than those of JSON."""
    if type(value) in (float, int):
        return _print_number(value)  # type: ignore[arg-type]  # the line above
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return "{" + ",".join(f"{print_json(str(key))}:{print_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(print_json, value)) + "]"
    raise TypeError(f"cannot print {type(value).__name__}")


def format_best_short(value: float) -> str:
    """Format bestDiff of AxeOS ≤ 2.7 and NerdOS ≤ 1.0.33: `5.56G`, `193G`, and `1e+03k` by the rounding of %.3g."""
    scaled, suffix = _scale(value)
    return f"{scaled:.3g}{suffix}"


def format_best_spaced(value: float) -> str:
    """Format bestDiff of AxeOS 2.10: `572.14 M`, and `123 ` (with the space) below 1000."""
    scaled, suffix = _scale(value)
    return f"{scaled:.2f} {suffix}" if suffix else f"{int(value)} "


def format_best_number(value: float) -> int:
    """Format bestDiff of AxeOS ≥ 2.11: a plain number."""
    return int(value)


def _scale(value: float) -> tuple[float, str]:
    """Return value and suffix; `k` is lower case, the others are upper case."""
    for power, suffix in ((18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if value >= 10**power:
            return value / 10**power, suffix
    return float(int(value)), ""
