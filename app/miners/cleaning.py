"""Clean a device's answer, which is untrusted input: redact its secrets and reduce the hostname to harmless text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from app.redaction.json_objects import redact_object

MAX_HOSTNAME = 64
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")


def clean_hostname(value: object) -> str:
    """Return at most 64 characters without control and text-direction characters; "" where the value is not a
    string."""
    return _CONTROL.sub("", value)[:MAX_HOSTNAME] if isinstance(value, str) else ""


def clean_info(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a device's answer without secrets and with a harmless hostname. Raises DeviceBadPayload."""
    info = redact_object(body)
    if "hostname" in info:
        info["hostname"] = clean_hostname(info["hostname"])
    return info
