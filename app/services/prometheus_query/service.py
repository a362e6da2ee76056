"""Answers Prometheus' queries: by the configured Prometheus if there is one, else from the history."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.clients.prometheus import PrometheusClient
from app.clock import Clock
from app.services.prometheus_query.answers import format_time
from app.services.prometheus_query.catalog import FLEET_EFFICIENCY, TOTAL_EFFICIENCY
from app.services.prometheus_query.evaluator import HistoryEvaluator
from app.services.prometheus_query.grid import Grid

_TOTAL_EFFICIENCY = re.compile(rf"(?<![\w:]){TOTAL_EFFICIENCY}(?![\w:])", re.ASCII)


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

    def stop(self) -> None:
        """Close the connections to the configured Prometheus."""
        if self._client is not None:
            self._client.close()

    def run_query(self, text: str, time: int | None) -> QueryAnswer:
        """Answer an instant query. `time`: milliseconds since 1970, None for now.

        Raises: QueryError, StoreError.
        """
        at = round(self._clock.now().timestamp() * 1000) if time is None else time
        if (client := self._client) is not None:
            return _forward_query(text, lambda query: client.run_query(query, format_time(at)))
        return QueryAnswer(self._evaluator.evaluate_query(text, Grid(at, 1, 1), is_range=False))

    def run_range_query(self, text: str, grid: Grid) -> QueryAnswer:
        """Answer a range query. Raises: QueryError, StoreError."""
        if (client := self._client) is not None:
            times = (format_time(grid.start), format_time(grid.end), format_time(grid.step))
            return _forward_query(text, lambda query: client.run_range_query(query, *times))
        return QueryAnswer(self._evaluator.evaluate_query(text, grid, is_range=True))


def _forward_query(text: str, send: Callable[[str], tuple[int, bytes]]) -> QueryAnswer:
    """Return Prometheus' answer. It scrapes `total_efficiency` in GH/s per W, so the query gets the metric in J/TH
    in place of it, and the answer its name."""
    query, replaced = _TOTAL_EFFICIENCY.subn(FLEET_EFFICIENCY, text)
    status, body = send(query)
    if replaced:
        body = body.replace(_name_member(FLEET_EFFICIENCY), _name_member(TOTAL_EFFICIENCY))
    return QueryAnswer([body], status)


def _name_member(name: str) -> bytes:
    return f'"__name__":"{name}"'.encode()
