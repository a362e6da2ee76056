"""Redaction of parsed JSON: a device's answer, which is untrusted, and the values of a request that we wrote."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from app.errors import DeviceBadPayload
from app.redaction.secret_words import is_secret_key

MAX_DEPTH = 32
USUAL_KEYS, USUAL_LETTERS = 256, 4096

_CONTAINERS = (dict, list)


def redact_object(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a parsed JSON object without secrets at any depth. Flags such as `hasPassword: true` stay.

    Raises DeviceBadPayload if it is nested deeper than 32 levels, which is more than any firmware sends.
    """
    return _redact_members(body, 0)


def list_secret_values(value: Any) -> list[str]:
    """Return the values under secret keys at any depth as strings."""
    if isinstance(value, Mapping):
        own = [str(each) for key, each in value.items() if is_secret_key(key) and type(each) in (str, int, float)]
        return own + [text for each in value.values() for text in list_secret_values(each)]
    return [text for each in value for text in list_secret_values(each)] if isinstance(value, list | tuple) else []


def _redact_members(body: Mapping[str, Any], depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        raise DeviceBadPayload("The answer is nested too deeply")
    kept = dict(body)
    for key in _find_secret_keys(tuple(body)):
        if type(body[key]) is not bool:
            del kept[key]
    for key, value in kept.items():
        if (
            type(value) in _CONTAINERS
        ):  # parsed JSON has no subclasses; isinstance with two classes takes four times as long
            kept[key] = _redact_container(value, depth + 1)
    return kept


def _redact_container(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        return _redact_members(value, depth)
    if depth > MAX_DEPTH:
        raise DeviceBadPayload("The answer is nested too deeply")
    return [_redact_container(item, depth + 1) if type(item) in _CONTAINERS else item for item in value]


def _find_secret_keys(keys: tuple[str, ...]) -> tuple[str, ...]:
    # Long lists of keys, which a hostile peer may send, are not cached: they would fill the memory.
    usual = len(keys) <= USUAL_KEYS and len("".join(keys)) <= USUAL_LETTERS
    return _cached_secret_keys(keys) if usual else _select_secret_keys(keys)


def _select_secret_keys(keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(key for key in keys if is_secret_key(key))


# A miner sends the same keys every five seconds; without the cache they take 30 of a poll's 300 µs.
_cached_secret_keys = lru_cache(maxsize=64)(_select_secret_keys)
