"""What a miner says is untrusted: secrets are taken out, and the hostname is made harmless, before anything else sees
the answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from app.errors import DeviceBadPayload

MAX_DEPTH = 32
MAX_HOSTNAME = 64

_SECRET = re.compile(r"(?i)(pass(word|wd|phrase)?|pwd|psk|secret|token|(api|secret|private)[_-]?key)s?\d*$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")


@lru_cache(maxsize=4096)
def is_secret(key: str) -> bool:
    """Whether a value under this key may be a password or token, in any spelling: `wifiPass`,
    `fallbackStratumPassword`, `api_key2`."""
    return _SECRET.search(key) is not None


def redact(body: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a device's answer without secrets, at any depth. Flags such as `hasPassword: true` stay.

    Raises DeviceBadPayload when the answer is nested deeper than any firmware's (32).
    """
    return _redacted_object(body, 0)


def _redacted_object(body: Mapping[str, Any], depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        raise DeviceBadPayload("The answer is nested too deeply")
    return {
        key: _redacted(value, depth + 1) if isinstance(value, (dict, list)) else value
        for key, value in body.items()
        if not is_secret(key) or isinstance(value, bool)
    }


def _redacted(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        return _redacted_object(value, depth)
    if isinstance(value, list):
        if depth > MAX_DEPTH:
            raise DeviceBadPayload("The answer is nested too deeply")
        return [_redacted(item, depth + 1) for item in value]
    return value


def clean_hostname(value: object) -> str:
    """At most 64 characters, none of them a control or text-direction character; "" when it is no text."""
    return _CONTROL.sub("", value)[:MAX_HOSTNAME] if isinstance(value, str) else ""
