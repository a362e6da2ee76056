"""How deeply a stored value may be nested. No firmware and no client of ours needs more; orjson writes 254 levels, and
Python's own recursion ends at 1,000, so a deeper value could be read and never be written or shown again."""

from __future__ import annotations

from typing import Any

MAX_DEPTH = 32


def is_too_deep(value: Any, levels: int = MAX_DEPTH) -> bool:
    """Whether objects and lists are nested more than `levels` deep. Looks no deeper than that."""
    if not isinstance(value, dict | list):
        return False
    children = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(is_too_deep(child, levels - 1) for child in children)


def without_deep_parts(value: Any, levels: int = MAX_DEPTH) -> Any:
    """A copy that lacks what is nested more than `levels` deep."""
    if isinstance(value, dict):
        return {key: without_deep_parts(each, levels - 1) for key, each in value.items() if _is_kept(each, levels)}
    if isinstance(value, list):
        return [without_deep_parts(each, levels - 1) for each in value if _is_kept(each, levels)]
    return value


def _is_kept(child: Any, levels: int) -> bool:
    return levels > 1 or not isinstance(child, dict | list)
