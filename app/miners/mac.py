"""The canonical form of a MAC address: lower case with colons. It identifies a device."""

from __future__ import annotations

import re
from functools import lru_cache

_HEX = re.compile(r"[0-9a-f]{12}")
_SHAPES = re.compile(r"(?i)[0-9a-f]{12}|([0-9a-f]{2}[:-]){5}[0-9a-f]{2}|([0-9a-f]{4}\.){2}[0-9a-f]{4}")


@lru_cache(maxsize=16384)
def _normalise(text: str) -> str | None:
    text = text.strip()
    if not _SHAPES.fullmatch(text):
        return None
    digits = re.sub(r"[^0-9a-f]", "", text.lower())
    if digits in ("0" * 12, "f" * 12) or not _HEX.fullmatch(digits):
        return None
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def normalise_mac(value: object) -> str | None:
    """Return the canonical MAC, `02:00:5e:00:00:1a`, or None if the value is not the MAC of a device.

    Accepts `02:00:5E:00:00:1A`, `02-00-..`, `0200.5e00.001a` and `02005e00001a`.
    """
    return _normalise(value) if isinstance(value, str) and len(value) <= 32 else None


def spelled(text: str) -> str:
    """Return the canonical MAC of a request's text. Any other text is returned as it is: no device has it."""
    return normalise_mac(text) or text
