"""The Prometheus text format, for series that are rendered once per reading and joined per scrape.

Families are rendered by hand here because a scrape of 1,000 devices through prometheus_client's collectors costs 150 to
250 ms of a blocked loop for 14 series each, and joining ready lines about 2 ms. The library renders the service's own
figures.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

MAX_LABEL = 64
_OUTSIDE_NAME = re.compile(r"[^A-Za-z0-9_]")
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\""})
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)])


def plain(value: str) -> str:
    """At most 64 characters, none of them a control character: a NUL is the end of the scrape to Prometheus' parser."""
    return value.translate(_CONTROLS)[:MAX_LABEL]


def label(value: str) -> str:
    """Made plain, and escaped."""
    return plain(value).translate(_ESCAPES)


def labels(pairs: Mapping[str, str]) -> str:
    """`{mac="..",hostname=".."}`."""
    return "{" + ",".join(f'{name}="{label(value)}"' for name, value in pairs.items()) + "}"


def number(value: float) -> str:
    """The shortest text that reads back as the same float."""
    text = repr(value + 0.0)  # a sum of nothing is the integer 0, and zero has no sign
    return text[:-2] if text.endswith(".0") else text


def header(name: str, help_: str, kind: str = "gauge") -> str:
    return f"# HELP {name} {help_}\n# TYPE {name} {kind}\n"


def family(name: str, help_: str, lines: Iterable[str], kind: str = "gauge") -> str:
    """A family with its ready lines; nothing when there is none."""
    body = "".join(lines)
    return header(name, help_, kind) + body if body else ""


def legacy_name(hostname: str) -> str:
    """The original's prefix for a device: what no metric name may hold becomes `__`, a leading digit gets `_` in
    front."""
    name = _OUTSIDE_NAME.sub("__", hostname[:MAX_LABEL]) or "_"
    return f"_{name}" if name[0].isdigit() else name
