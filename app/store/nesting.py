"""Limits the nesting of stored values.

No firmware or client needs more. orjson writes at most 254 levels and Python recurses 1,000 deep: a value beyond these
could be read, but not written or returned.
"""

from __future__ import annotations

from typing import Any

MAX_DEPTH = 32


def is_too_deep(value: Any, levels: int = MAX_DEPTH) -> bool:
    """Return whether objects and lists are nested more than `levels` deep. Recurses no deeper than that."""
    if not isinstance(value, dict | list):
        return False
    children = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(is_too_deep(child, levels - 1) for child in children)


def remove_deep_parts(value: Any, levels: int = MAX_DEPTH) -> Any:
    """Return a copy without the objects and lists that are nested more than `levels` deep."""
    if isinstance(value, dict):
        return {key: remove_deep_parts(each, levels - 1) for key, each in value.items() if _is_kept(each, levels)}
    if isinstance(value, list):
        return [remove_deep_parts(each, levels - 1) for each in value if _is_kept(each, levels)]
    return value


def _is_kept(child: Any, levels: int) -> bool:
    return levels > 1 or not isinstance(child, dict | list)
