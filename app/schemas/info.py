"""Serialisation of a miner's answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The frontend reads it without a check, so it is present even when it is empty.
_MAY_BE_EMPTY = frozenset({"stratumUser"})
_CONTAINERS = (dict, list)


def without_empty_texts(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy without members that are "", at any depth: the Node project's frontend refuses to save a device
    that has one, such as `stratumCert` of AxeOS 2.15."""
    kept = {key: value for key, value in info.items() if value != "" or key in _MAY_BE_EMPTY}
    for key, value in kept.items():
        if type(value) in _CONTAINERS:  # JSON has no subclasses
            kept[key] = _clean_value(value)
    return kept


def _clean_value(value: Any) -> Any:
    if isinstance(value, dict):
        return without_empty_texts(value)
    return [_clean_value(each) if type(each) in _CONTAINERS else each for each in value]
