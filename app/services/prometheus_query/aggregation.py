"""Aggregate the points of many series into one series per group."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from math import isnan, nan

from app.services.prometheus_query.catalog import Labels
from app.services.prometheus_query.grid import POINTS_AT_ONCE, Grid, Points, empty_points
from app.services.prometheus_query.promql import NAME_LABEL, Aggregation, Operation
from app.throttle import yield_if_due


def _add(total: float, value: float) -> float:
    return total + value


_COMBINE: Mapping[Operation, Callable[[float, float], float]] = {
    Operation.SUM: _add,
    Operation.AVG: _add,
    Operation.MIN: min,
    Operation.MAX: max,
    Operation.COUNT: _add,
}


def group_labels(aggregation: Aggregation, labels: Labels) -> dict[str, str]:
    """Return the labels of the group that a series belongs to."""
    if aggregation.without:
        dropped = {NAME_LABEL, *aggregation.labels}
        return {name: value for name, value in labels.items() if name not in dropped}
    return {name: labels[name] for name in aggregation.labels if name in labels}


class Group:
    """The running result of one group. A point counts only the series that have a value at its time."""

    def __init__(self, operation: Operation, grid: Grid) -> None:
        self._operation = operation
        self._combined = empty_points(grid)
        self._counts = array("L", [0]) * grid.count

    def add_points(self, points: Points) -> None:
        combine, combined, counts = _COMBINE[self._operation], self._combined, self._counts
        for index, value in enumerate(points):
            if not isnan(value):
                combined[index] = combine(combined[index], value) if counts[index] else value
                counts[index] += 1
            if index % POINTS_AT_ONCE == 0:
                yield_if_due()

    def compute_points(self) -> Points:
        if self._operation is Operation.COUNT:
            return array("d", [count or nan for count in self._counts])
        if self._operation is Operation.AVG:
            pairs = zip(self._combined, self._counts, strict=True)
            return array("d", [total / count if count else nan for total, count in pairs])
        return self._combined
