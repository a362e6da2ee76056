"""The JSON of Prometheus' HTTP API. Every loop yields to the event loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from math import isinf, isnan

import orjson

from app.services.prometheus_query.catalog import Labels
from app.services.prometheus_query.grid import POINTS_AT_ONCE, Grid, Points
from app.throttle import throttled

# The server sends piece by piece, and yields to the event loop only when a socket is full.
PIECE_CHARACTERS = 256 * 1024


@dataclass(frozen=True, slots=True)
class ResultSeries:
    labels: Labels
    points: Points


def encode_vector(grid: Grid, series: Iterable[ResultSeries]) -> list[bytes]:
    """Return the answer to an instant query: the series that have a value."""
    at = format_time(grid.start)
    return _encode_result(
        "vector",
        (
            f'{{"metric":{_encode_labels(each.labels)},"value":[{at},"{format_value(each.points[0])}"]}}'
            for each in series
            if not isnan(each.points[0])
        ),
    )


def encode_matrix(grid: Grid, series: Iterable[ResultSeries]) -> list[bytes]:
    """Return the answer to a range query. A series without points is left out."""
    times = [f'[{format_time(at)},"' for at in throttled(grid.iterate_times())]
    return _encode_result("matrix", _encode_series(times, series))


def encode_scalar(grid: Grid, value: float) -> list[bytes]:
    result = f'[{format_time(grid.start)},"{format_value(value)}"]'
    return [f'{{"status":"success","data":{{"resultType":"scalar","result":{result}}}}}'.encode()]


def _encode_series(times: Sequence[str], series: Iterable[ResultSeries]) -> Iterator[str]:
    for each in series:
        pairs = iter(zip(times, each.points, strict=True))
        pieces = []
        while batch := list(islice(pairs, POINTS_AT_ONCE)):
            text = ",".join([f'{time}{format_value(value)}"]' for time, value in batch if not isnan(value)])
            if text:
                pieces.append(text)
            yield ""  # so that the caller can yield to the event loop
        if pieces:
            yield f'{{"metric":{_encode_labels(each.labels)},"values":[{",".join(pieces)}]}}'


def _encode_result(kind: str, rows: Iterable[str]) -> list[bytes]:
    pieces, separator = [], ""
    pending, size = [f'{{"status":"success","data":{{"resultType":"{kind}","result":['], 0
    for row in throttled(rows):
        if row:
            pending += (separator, row)
            size += len(row)
            separator = ","
        if size > PIECE_CHARACTERS:
            pieces.append("".join(pending).encode())
            pending, size = [], 0
    return [*pieces, f"{''.join(pending)}]}}}}".encode()]


def _encode_labels(labels: Labels) -> str:
    return orjson.dumps(labels, option=orjson.OPT_SORT_KEYS).decode()


def format_time(milliseconds: int) -> str:
    """Return seconds, with three decimals unless they are whole, as Prometheus prints them."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds}.{rest:03}" if rest else str(seconds)


def format_value(value: float) -> str:
    """Return the shortest decimal text of the float, without an exponent, as Prometheus prints it."""
    if isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if isnan(value):
        return "NaN"
    text = repr(value)
    if "e" in text:
        text = format(Decimal(text), "f")
    return text.removesuffix(".0")
