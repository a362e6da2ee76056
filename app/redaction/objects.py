"""What a miner says is untrusted: secrets are taken out, and the hostname is made harmless, before anything else sees
the answer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from app.errors import DeviceBadPayload
from app.redaction.words import is_secret

MAX_DEPTH = 32
USUAL_KEYS, USUAL_LETTERS = 256, 4096

_CONTAINERS = (dict, list)


def redact(body: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a device's parsed JSON without secrets, at any depth. Flags such as `hasPassword: true` stay.

    Raises DeviceBadPayload when it is nested deeper than any firmware's answer (32).
    """
    return _redacted_object(body, 0)


def secret_texts(value: Any) -> list[str]:
    """Return the values under secret keys, as texts, at any depth of a request that we wrote."""
    if isinstance(value, Mapping):
        here = [str(each) for key, each in value.items() if is_secret(key) and type(each) in (str, int, float)]
        return here + [text for each in value.values() for text in secret_texts(each)]
    return [text for each in value for text in secret_texts(each)] if isinstance(value, list | tuple) else []


def _redacted_object(body: Mapping[str, Any], depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        raise DeviceBadPayload("The answer is nested too deeply")
    kept = dict(body)
    for key in _secrets_among(tuple(body)):
        if type(body[key]) is not bool:
            del kept[key]
    for key, value in kept.items():
        if type(value) in _CONTAINERS:  # JSON has no subclasses, and isinstance of two classes costs four times as much
            kept[key] = _redacted(value, depth + 1)
    return kept


def _redacted(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        return _redacted_object(value, depth)
    if depth > MAX_DEPTH:
        raise DeviceBadPayload("The answer is nested too deeply")
    return [_redacted(item, depth + 1) if type(item) in _CONTAINERS else item for item in value]


def _secrets_among(keys: tuple[str, ...]) -> tuple[str, ...]:
    usual = len(keys) <= USUAL_KEYS and len("".join(keys)) <= USUAL_LETTERS  # or a hostile one's names would fill it
    return _remembered(keys) if usual else _looked_up(keys)


def _looked_up(keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(key for key in keys if is_secret(key))


# A miner sends the same keys every five seconds; looking at each anew costs 30 of a poll's 300 microseconds.
_remembered = lru_cache(maxsize=64)(_looked_up)
