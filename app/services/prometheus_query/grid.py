"""The times of a query, and the values of a series at these times. Pure; loops yield to the event loop."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import TypeAlias

from app.throttle import yield_if_due

# Points between two checks whether to yield: less than a millisecond.
POINTS_AT_ONCE = 1000

Points: TypeAlias = "array[float]"


@dataclass(frozen=True, slots=True)
class Grid:
    """`start + k × step` for k from 0 to `count - 1`, in milliseconds since 1970, as Prometheus evaluates a query."""

    start: int
    step: int
    count: int

    @property
    def end(self) -> int:
        return self.start + (self.count - 1) * self.step

    def iterate_times(self) -> Iterator[int]:
        return iter(range(self.start, self.start + self.count * self.step, self.step))


def empty_points(grid: Grid) -> Points:
    """Return points without values. NaN stands for no value: the history has no NaN, so no result does."""
    return array("d", [nan]) * grid.count


def sample_values(
    grid: Grid, times: Sequence[int], values: Sequence[float], lookback: float, *, skip_absent: bool
) -> Points:
    """Return at each time of the grid the newest value of the `lookback` seconds before it.

    `times`: seconds since 1970, ascending; `values`: NaN if absent. An absent value hides earlier ones, unless
    `skip_absent`.
    """
    if skip_absent and any(map(isnan, values)):
        present = [(time, value) for time, value in zip(times, values, strict=True) if not isnan(value)]
        times, values = [time for time, _ in present], [value for _, value in present]
    points, after = empty_points(grid), 0
    for index, at in enumerate(grid.iterate_times()):
        seconds = at / 1000
        after = bisect_right(times, seconds, after)
        if after and times[after - 1] > seconds - lookback:
            points[index] = _restore_decimal(values[after - 1])
        if index % POINTS_AT_ONCE == 0:
            yield_if_due()
    return points


def _restore_decimal(value: float) -> float:
    """Return 512.3 for 512.2999877929688: the history keeps single precision, which has seven decimal digits."""
    return value if value.is_integer() or isnan(value) else float(f"{value:.7g}")
