"""Samples in columns, and their summary over spans of time. Pure.

Plain arrays, not numpy: its import alone takes 12 MB, and the sums and extrema of a slice are C loops anyway.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import isnan, nan
from operator import mul
from typing import TypeAlias

from app.services.history.columns import (
    COUNT_SUFFIX,
    ELAPSED,
    MAX_SUFFIX,
    MIN_SUFFIX,
    STATUS,
    STATUS_CODES,
    Kind,
    seconds_column,
)
from app.throttle import yield_if_due

Column: TypeAlias = "array[float]"


@dataclass(slots=True)
class Frame:
    """Samples of one series in ascending order. `times`: Unix seconds of the sample, or the start of its span.
    `columns`: one value per sample, NaN if absent. A summarised gauge has columns with the suffixes for minimum,
    maximum and count; a raw one only its values. `kinds`: the kind of each column without these."""

    times: array[int] = field(default_factory=lambda: array("I"))
    columns: dict[str, Column] = field(default_factory=dict)
    kinds: dict[str, Kind] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.times)


def absent_column(name: str, length: int) -> Column:
    return array("f", [0.0 if name.endswith(COUNT_SUFFIX) else nan]) * length


def append_frame(frame: Frame, more: Frame) -> None:
    """Append later samples. A column that one of the two lacks is absent in its part."""
    length, added = len(frame), len(more)
    for name in frame.columns.keys() - more.columns.keys():
        frame.columns[name].extend(absent_column(name, added))
    for name, values in more.columns.items():
        if name not in frame.columns:
            frame.columns[name] = absent_column(name, length)
        frame.columns[name].extend(values)
    frame.kinds.update(more.kinds)
    frame.times.extend(more.times)


def cut_frame(frame: Frame, start: float, stop: float) -> Frame:
    """Return the samples from `start` up to, but not including, `stop`."""
    first, last = bisect_left(frame.times, start), bisect_left(frame.times, stop)
    if first == 0 and last == len(frame):
        return frame
    return Frame(
        frame.times[first:last],
        {name: values[first:last] for name, values in frame.columns.items()},
        frame.kinds,
    )


def expand_status(frame: Frame) -> Frame:
    """Replace status and elapsed time of raw samples by one column of seconds for each status that occurs."""
    if STATUS not in frame.columns:
        return frame
    codes, elapsed = frame.columns[STATUS], frame.columns[ELAPSED]
    columns = {name: values for name, values in frame.columns.items() if name not in (STATUS, ELAPSED)}
    kinds = {name: kind for name, kind in frame.kinds.items() if name not in (STATUS, ELAPSED)}
    for code in {code for code in codes if not isnan(code)}:
        name = seconds_column(STATUS_CODES[int(code)])
        columns[name] = array(
            "f", [seconds if each == code else 0.0 for each, seconds in zip(codes, elapsed, strict=True)]
        )
        kinds[name] = Kind.SUM
    return Frame(frame.times, columns, kinds)


def summarise_frame(frame: Frame, step: int, origin: int = 0) -> Frame:
    """Return one sample for each span of `step` seconds, counted from `origin`, that has samples. Yields to the event
    loop."""
    starts, slices = _find_spans(frame.times, step, origin)
    summary = Frame(array("I", starts), {}, dict(frame.kinds))
    for name, kind in frame.kinds.items():
        if kind is Kind.GAUGE:
            _summarise_gauge(frame, name, slices, summary)
        elif kind is Kind.SUM:
            summary.columns[name] = _map_spans(frame.columns[name], slices, _sum_present)
        elif kind is Kind.LAST:
            summary.columns[name] = _map_spans(frame.columns[name], slices, _last_present)
        yield_if_due()
    return summary


def _find_spans(times: array[int], step: int, origin: int) -> tuple[list[int], list[tuple[int, int]]]:
    """Return the starts of the spans that have samples, and the first and last index of each."""
    starts, slices, first = [], [], 0
    while first < len(times):
        start = (times[first] - origin) // step * step + origin
        last = bisect_left(times, start + step, first)
        starts.append(start)
        slices.append((first, last))
        first = last
    return starts, slices


def _map_spans(values: Column, slices: Iterable[tuple[int, int]], reduce: Callable[[Column], float]) -> Column:
    return array("f", [reduce(values[first:last]) for first, last in slices])


def _sum_present(values: Column) -> float:
    total = sum(values)
    if not isnan(total):  # so none of them is NaN
        return total
    kept = _keep_present(values)
    return sum(kept) if kept else nan


def _last_present(values: Column) -> float:
    return next((value for value in reversed(values) if not isnan(value)), nan)


def _keep_present(values: Sequence[float]) -> Sequence[float]:
    """Return the values without NaN."""
    total = sum(values)
    return [value for value in values if not isnan(value)] if isnan(total) else values


def _summarise_gauge(frame: Frame, name: str, slices: Sequence[tuple[int, int]], summary: Frame) -> None:
    means, lows, highs, counts = array("f"), array("f"), array("f"), array("f")
    values, weights = frame.columns[name], frame.columns.get(name + COUNT_SUFFIX)
    least, most = frame.columns.get(name + MIN_SUFFIX, values), frame.columns.get(name + MAX_SUFFIX, values)
    for first, last in slices:
        mean, count = _mean_present(values[first:last], weights[first:last] if weights else None)
        means.append(mean)
        counts.append(count)
        lows.append(min(_keep_present(least[first:last]), default=nan))
        highs.append(max(_keep_present(most[first:last]), default=nan))
    summary.columns |= {name: means, name + MIN_SUFFIX: lows, name + MAX_SUFFIX: highs, name + COUNT_SUFFIX: counts}


def _mean_present(values: Column, weights: Column | None) -> tuple[float, float]:
    """Return the mean of the present values and their number. `weights`: how many values each one stands for."""
    if weights is None:
        kept = _keep_present(values)
        return (sum(kept) / len(kept), len(kept)) if kept else (nan, 0)
    count = sum(weights)
    total = sum(map(mul, values, weights))
    if isnan(total):
        total = sum(value * weight for value, weight in zip(values, weights, strict=True) if weight)
    return (total / count, count) if count else (nan, 0)
