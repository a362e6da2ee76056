"""Percentiles of what was measured. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable


def percentile(values: Iterable[float], percent: float) -> float | None:
    """The smallest value that `percent` of them do not exceed (nearest rank); None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def spread(values: Iterable[float], *percents: float, scale: float = 1.0) -> dict[str, float | None]:
    """`{"p50": .., "p99": .., "max": .., "count": ..}`, each value times `scale`."""
    ordered = sorted(values)
    found = {f"p{percent:g}": percentile(ordered, percent) for percent in percents}
    found["max"] = ordered[-1] if ordered else None
    scaled = {name: None if value is None else round(value * scale, 3) for name, value in found.items()}
    return {**scaled, "count": len(ordered)}


def ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None
