"""Redaction of parsed JSON: a device's answer, which is untrusted, and the values of a request that we wrote."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from app.errors import DeviceBadPayload
from app.redaction.secret_words import is_secret

MAX_DEPTH = 32
USUAL_KEYS, USUAL_LETTERS = 256, 4096

_CONTAINERS = (dict, list)


def redact(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a parsed JSON object without secrets at any depth. Flags such as `hasPassword: true` stay.

    Raises DeviceBadPayload if it is nested deeper than 32 levels, which is more than any firmware sends.
    """
    return _redacted_object(body, 0)


def secret_texts(value: Any) -> list[str]:
    """Return the values under secret keys at any depth as strings."""
    if isinstance(value, Mapping):
        own = [str(each) for key, each in value.items() if is_secret(key) and type(each) in (str, int, float)]
        return own + [text for each in value.values() for text in secret_texts(each)]
    return [text for each in value for text in secret_texts(each)] if isinstance(value, list | tuple) else []


def _redacted_object(body: Mapping[str, Any], depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        raise DeviceBadPayload("The answer is nested too deeply")
    kept = dict(body)
    for key in _secrets_among(tuple(body)):
        if type(body[key]) is not bool:
            del kept[key]
    for key, value in kept.items():
        if (
            type(value) in _CONTAINERS
        ):  # parsed JSON has no subclasses; isinstance with two classes takes four times as long
            kept[key] = _redacted(value, depth + 1)
    return kept


def _redacted(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        return _redacted_object(value, depth)
    if depth > MAX_DEPTH:
        raise DeviceBadPayload("The answer is nested too deeply")
    return [_redacted(item, depth + 1) if type(item) in _CONTAINERS else item for item in value]


def _secrets_among(keys: tuple[str, ...]) -> tuple[str, ...]:
    # Long lists of keys, which a hostile peer may send, are not cached: they would fill the memory.
    usual = len(keys) <= USUAL_KEYS and len("".join(keys)) <= USUAL_LETTERS
    return _remembered(keys) if usual else _looked_up(keys)


def _looked_up(keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(key for key in keys if is_secret(key))


# A miner sends the same keys every five seconds; without the cache they take 30 of a poll's 300 µs.
_remembered = lru_cache(maxsize=64)(_looked_up)
