"""MAC addresses, which identify devices. The canonical form has lower-case digits and colons."""

from __future__ import annotations

import re
from functools import lru_cache

from app.errors import Invalid

_HEX = re.compile(r"[0-9a-f]{12}")
_SHAPES = re.compile(r"(?i)[0-9a-f]{12}|([0-9a-f]{2}[:-]){5}[0-9a-f]{2}|([0-9a-f]{4}\.){2}[0-9a-f]{4}")


@lru_cache(maxsize=16384)
def _normalise_text(text: str) -> str | None:
    text = text.strip()
    if not _SHAPES.fullmatch(text):
        return None
    digits = re.sub(r"[^0-9a-f]", "", text.lower())
    if digits in ("0" * 12, "f" * 12) or not _HEX.fullmatch(digits):
        return None
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def canonical_mac(value: object) -> str | None:
    """Return `02:00:5e:00:00:1a` for `02:00:5E:00:00:1A`, `02-00-..`, `0200.5e00.001a` or `02005e00001a`; None for
    anything that is not the MAC of a device."""
    return _normalise_text(value) if isinstance(value, str) and len(value) <= 32 else None


def parse_mac(text: str) -> str:
    """Return the canonical MAC. Raises Invalid."""
    mac = canonical_mac(text)
    if mac is None:
        raise Invalid(f"{text!r} is not a MAC address", {"mac": ["Not a MAC address."]})
    return mac
