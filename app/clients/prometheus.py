"""Client of a Prometheus that answers queries in place of the history (PROMETHEUS_HOST)."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from app.clients.bounded_http import BoundedSession, FetchError
from app.errors import PrometheusBroken, PrometheusDown, PrometheusTimeout, QueryError

DEADLINE_SECONDS = 10.0
# 11,000 points of 40 series.
MAX_BODY = 16 * 1024 * 1024
# orjson parses any JSON of this size within 10 ms. Of a longer body only the two ends are checked.
MAX_PARSED = 512 * 1024
_FAILURES: Mapping[str, type[QueryError]] = {
    "unreachable": PrometheusDown,
    "deadline": PrometheusTimeout,
    "too_large": PrometheusBroken,
    "broken": PrometheusBroken,
}


class PrometheusClient:
    """Sends queries to `{base_url}/api/v1`. Returns status and body as they came, also of an error.

    Raises: PrometheusDown, PrometheusTimeout, or PrometheusBroken if the answer is not JSON.
    """

    def __init__(self, base_url: str, deadline: float = DEADLINE_SECONDS) -> None:
        self._base_url = base_url.rstrip("/")
        self._session = BoundedSession("Prometheus", base_url, max_body=MAX_BODY, deadline=deadline)

    def run_query(self, query: str, time: str) -> tuple[int, bytes]:
        return self._fetch_answer("query", {"query": query, "time": time})

    def run_range_query(self, query: str, start: str, end: str, step: str) -> tuple[int, bytes]:
        """`start` and `end`: seconds since 1970; `step`: seconds."""
        return self._fetch_answer("query_range", {"query": query, "start": start, "end": end, "step": step})

    def close(self) -> None:
        self._session.close()

    def _fetch_answer(self, path: str, params: Mapping[str, str]) -> tuple[int, bytes]:
        try:
            status, body = self._session.send_request("GET", f"{self._base_url}/api/v1/{path}", params=params)
        except FetchError as error:
            raise _FAILURES[error.reason](f"{error}: check PROMETHEUS_HOST") from None
        if not 200 <= status < 600 or 300 <= status < 400 or not _is_json_object(body):
            problem = f"returned status {status} and no JSON answer: check PROMETHEUS_HOST"
            raise PrometheusBroken(f"{self._session.name} {problem}")
        return status, bytes(body)


def _is_json_object(body: bytearray) -> bool:
    if len(body) > MAX_PARSED:
        return body[:1024].lstrip().startswith(b'{"') and body[-1024:].rstrip().endswith(b"}")
    try:
        return isinstance(orjson.loads(body), dict)
    except ValueError:
        return False
