"""Evaluates queries from the history."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from heapq import merge
from typing import Protocol

import gevent
from gevent.lock import BoundedSemaphore

from app.errors import HistoryOff, QueryTimeout, QueryTooLarge, UnsupportedQuery
from app.services.history.queries import Samples
from app.services.prometheus_query.aggregation import Group, group_labels
from app.services.prometheus_query.answers import ResultSeries, encode_matrix, encode_scalar, encode_vector
from app.services.prometheus_query.catalog import Formula, MetricCatalog, SelectedSeries
from app.services.prometheus_query.grid import Grid, Points, sample_values
from app.services.prometheus_query.promql import Aggregation, Expression, Number, Selector, parse_query
from app.throttle import throttled

# For a whole query, with the time that it waits for others.
QUERY_SECONDS = 10.0
# Each takes up to 30 MB.
QUERIES_AT_ONCE = 2
# Of all series that the selector matches together: 1,000 devices with 600 points.
MAX_POINTS = 600_000
MAX_SERIES = 10_000
SERIES_PER_SORT = 1000


class SampleSource(Protocol):
    """The history, as far as queries need it."""

    @property
    def is_recording(self) -> bool: ...
    def read_samples(self, series: str, names: Sequence[str], start: float, end: float, step: float) -> Samples: ...


class HistoryEvaluator:
    """Answers PromQL from the history; the labels are those that the devices have now."""

    def __init__(self, catalog: MetricCatalog, history: SampleSource, deadline: float = QUERY_SECONDS) -> None:
        self._catalog = catalog
        self._history = history
        self._deadline = deadline
        self._running = BoundedSemaphore(QUERIES_AT_ONCE)

    def evaluate_query(self, text: str, grid: Grid, *, is_range: bool) -> list[bytes]:
        """Return the JSON of the answer, in pieces. Yields to the event loop.

        Raises: InvalidQuery, UnsupportedQuery, QueryTooLarge, QueryTimeout, HistoryOff.
        """
        too_slow = QueryTimeout(
            f"The query took longer than {self._deadline:g} s: choose fewer devices, a shorter range or a longer step"
        )
        with gevent.Timeout(self._deadline, too_slow), self._running:
            expression = parse_query(text)
            if isinstance(expression, Number) and not is_range:
                return encode_scalar(grid, expression.value)
            series = _sort_series(self._evaluate_expression(expression, grid))
            return encode_matrix(grid, series) if is_range else encode_vector(grid, series)

    def _evaluate_expression(self, expression: Expression, grid: Grid) -> list[ResultSeries]:
        if isinstance(expression, Number):
            return [ResultSeries({}, array("d", [expression.value]) * grid.count)]
        if not self._history.is_recording:
            raise HistoryOff
        if isinstance(expression, Aggregation):
            return self._aggregate_series(expression, grid)
        return list(self._evaluate_selector(expression, grid))

    def _aggregate_series(self, aggregation: Aggregation, grid: Grid) -> list[ResultSeries]:
        groups: dict[tuple[tuple[str, str], ...], Group] = {}
        for series in self._evaluate_selector(aggregation.selector, grid):
            key = tuple(sorted(group_labels(aggregation, series.labels).items()))
            group = groups.get(key) or groups.setdefault(key, Group(aggregation.operation, grid))
            group.add_points(series.points)
        return [ResultSeries(dict(key), group.compute_points()) for key, group in throttled(groups.items())]

    def _evaluate_selector(self, selector: Selector, grid: Grid) -> Iterator[ResultSeries]:
        for source, selected in throttled(self._select_by_source(selector, grid).items()):
            columns = list({column for series in selected for column in series.formula.columns})
            sampled = self._sample_columns(source, columns, grid)
            for series in throttled(selected):
                if (points := _compute_points(series.formula, sampled)) is not None:
                    yield ResultSeries(series.labels, points)

    def _select_by_source(self, selector: Selector, grid: Grid) -> dict[str, list[SelectedSeries]]:
        by_source: dict[str, list[SelectedSeries]] = {}
        for count, series in enumerate(self._catalog.select_series(selector), 1):
            if count > MAX_SERIES or count * grid.count > MAX_POINTS:
                raise QueryTooLarge(
                    f"The query selects more than {MAX_SERIES:,} series or {MAX_POINTS:,} points ({grid.count:,} for "
                    "each series): choose fewer devices, a shorter range or a longer step"
                )
            by_source.setdefault(series.source, []).append(series)
        if not by_source and (name := self._catalog.find_other_metric(selector)):
            raise UnsupportedQuery(f"the metric {name}, of which it keeps no values")
        return by_source

    def _sample_columns(self, source: str, columns: Sequence[str], grid: Grid) -> dict[str, Points]:
        samples = self._history.read_samples(source, columns, grid.start / 1000, grid.end / 1000, grid.step / 1000)
        return {
            column: sample_values(grid, samples.times, values, samples.lookbacks[column], skip_absent=samples.is_raw)
            for column, values in samples.values.items()
        }


def _compute_points(formula: Formula, sampled: Mapping[str, Points]) -> Points | None:
    """Return the formula's points; None if the history has no such column for this series."""
    columns = [sampled[column] for column in formula.columns if column in sampled]
    if len(columns) < len(formula.columns):
        return None
    return array("d", map(formula.compute, *columns)) if formula.compute else columns[0]


def _sort_series(series: Sequence[ResultSeries]) -> Iterator[ResultSeries]:
    """Sort by labels, as Prometheus does, in chunks: 30,000 series at once would block for 100 ms."""
    chunks = [series[first : first + SERIES_PER_SORT] for first in range(0, len(series), SERIES_PER_SORT)]
    return merge(*[sorted(chunk, key=_sort_key) for chunk in throttled(chunks)], key=_sort_key)


def _sort_key(series: ResultSeries) -> list[tuple[str, str]]:
    return sorted(series.labels.items())
