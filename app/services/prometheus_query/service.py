"""Answers Prometheus' queries: by the configured Prometheus if there is one, else from the history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.clients.prometheus import PrometheusClient
from app.clock import Clock
from app.services.prometheus_query.answers import format_time
from app.services.prometheus_query.evaluator import HistoryEvaluator
from app.services.prometheus_query.grid import Grid


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """The JSON of an answer, in pieces. `status`: that of Prometheus' answer, which may be an error."""

    body: Sequence[bytes]
    status: int = 200


class PrometheusQueryService:
    def __init__(self, evaluator: HistoryEvaluator, client: PrometheusClient | None, clock: Clock) -> None:
        self._evaluator = evaluator
        self._client = client
        self._clock = clock

    def run_query(self, text: str, time: int | None) -> QueryAnswer:
        """Answer an instant query. `time`: milliseconds since 1970, None for now.

        Raises: QueryError, StoreError.
        """
        at = round(self._clock.now().timestamp() * 1000) if time is None else time
        if self._client is not None:
            return _pass_on(self._client.run_query(text, format_time(at)))
        return QueryAnswer(self._evaluator.evaluate_query(text, Grid(at, 1, 1), is_range=False))

    def run_range_query(self, text: str, grid: Grid) -> QueryAnswer:
        """Answer a range query. Raises: QueryError, StoreError."""
        if self._client is not None:
            times = (format_time(grid.start), format_time(grid.end), format_time(grid.step))
            return _pass_on(self._client.run_range_query(text, *times))
        return QueryAnswer(self._evaluator.evaluate_query(text, grid, is_range=True))


def _pass_on(response: tuple[int, bytes]) -> QueryAnswer:
    status, body = response
    return QueryAnswer([body], status)
