"""The Prometheus text format, for series that are rendered once per reading and joined per scrape.

Families are rendered by hand because a scrape of 1,000 devices through prometheus_client's collectors blocks the
event loop for 150 to 250 ms (14 series each), and joining rendered lines for about 2 ms. The library renders the
service's own metrics.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

MAX_LABEL = 64
_OUTSIDE_NAME = re.compile(r"[^A-Za-z0-9_]")
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\""})
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)])


def clean_label_value(value: str) -> str:
    """Return at most 64 characters without control characters: a NUL ends the scrape for Prometheus' parser."""
    return value.translate(_CONTROLS)[:MAX_LABEL]


def escape_label_value(value: str) -> str:
    """Return a clean and escaped label value."""
    return clean_label_value(value).translate(_ESCAPES)


def format_labels(pairs: Mapping[str, str]) -> str:
    """`{mac="..",hostname=".."}`."""
    return "{" + ",".join(f'{name}="{escape_label_value(value)}"' for name, value in pairs.items()) + "}"


def format_number(value: float) -> str:
    """Return the shortest text that parses to the same float."""
    text = repr(value + 0.0)  # an empty sum is the integer 0, and -0.0 becomes 0
    return text[:-2] if text.endswith(".0") else text


def format_header(name: str, help_: str, kind: str = "gauge") -> str:
    return f"# HELP {name} {help_}\n# TYPE {name} {kind}\n"


def format_family(name: str, help_: str, lines: Iterable[str], kind: str = "gauge") -> str:
    """Return a family with its rendered lines; "" without lines."""
    body = "".join(lines)
    return format_header(name, help_, kind) + body if body else ""


def legacy_prefix(hostname: str) -> str:
    """Return the Node backend's prefix for a device: characters that a metric name may not have become `__`, a
    leading digit gets a `_`."""
    name = _OUTSIDE_NAME.sub("__", hostname[:MAX_LABEL]) or "_"
    return f"_{name}" if name[0].isdigit() else name
