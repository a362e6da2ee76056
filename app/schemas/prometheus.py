"""Schemas of the Prometheus queries: parameters in the forms that Prometheus accepts, within narrower limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate

from app.schemas.base import BaseSchema
from app.services.prometheus_query.grid import Grid

MAX_QUERY = 8000
MIN_STEP_SECONDS, MAX_STEP_SECONDS = 5, 3600
MAX_RANGE_DAYS = 7
MAX_POINTS = 11_000
# The last second of the year 9999.
MAX_TIME = 253_402_300_799
MAX_TEXT = 64

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_UNITS = {"y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_DURATION = re.compile("".join(rf"(?:(\d{{1,9}}){unit})?" for unit in _UNITS), re.ASCII)


class Timestamp(fields.Field[int]):
    """Unix seconds or RFC 3339 → milliseconds since 1970."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        seconds = _parse_time(str(value)[: MAX_TEXT + 1])
        if seconds is None or not 0 <= seconds <= MAX_TIME:
            raise ValidationError("a time such as 1767323045.5 or 2026-01-02T03:04:05Z is needed")
        return round(seconds * 1000)


class Duration(fields.Field[int]):
    """Seconds, or a duration such as `15s` or `1m30s` → milliseconds."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        milliseconds = _parse_duration(str(value)[: MAX_TEXT + 1])
        if milliseconds is None:
            raise ValidationError("a duration such as 15, 15s or 1m30s is needed")
        if not MIN_STEP_SECONDS * 1000 <= milliseconds <= MAX_STEP_SECONDS * 1000:
            raise ValidationError(f"{MIN_STEP_SECONDS} s to {MAX_STEP_SECONDS // 3600} h are allowed")
        return round(milliseconds)


def _parse_time(text: str) -> float | None:
    if len(text) <= MAX_TEXT and _NUMBER.fullmatch(text):
        return float(text)
    if _RFC_3339.fullmatch(text):
        try:
            return datetime.fromisoformat(text).timestamp()
        except (ValueError, OverflowError):
            return None
    return None


def _parse_duration(text: str) -> float | None:
    if len(text) <= MAX_TEXT and _NUMBER.fullmatch(text):
        return float(text) * 1000
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        return None
    return sum(int(count) * unit for count, unit in zip(found.groups(), _UNITS.values(), strict=True) if count)


def _describe_time(meaning: str) -> dict[str, str]:
    return {"description": f"{meaning}: Unix seconds or RFC 3339", "type": "string", "example": "1767323045"}


class _QuerySchema(BaseSchema):
    query = fields.String(
        required=True,
        validate=validate.Length(1, MAX_QUERY, error=f"1 to {MAX_QUERY:,} characters of PromQL are needed"),
        metadata={"description": "PromQL; see docs/history.md for what the history can answer", "example": "up"},
    )


class InstantQuerySchema(_QuerySchema):
    time = Timestamp(load_default=None, metadata=_describe_time("The time, by default now"))


class RangeQuerySchema(_QuerySchema):
    start = Timestamp(required=True, metadata=_describe_time("The first time"))
    end = Timestamp(required=True, metadata=_describe_time("The last time, included"))
    step = Duration(
        required=True,
        metadata={"description": "Seconds, or a duration such as 15s", "type": "string", "example": "15s"},
    )

    @post_load
    def _make_grid(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        start, end, step = data["start"], data["end"], data["step"]
        if end < start:
            raise ValidationError("the end is before the start", "end")
        if end - start > MAX_RANGE_DAYS * 86_400_000:
            raise ValidationError(f"the range may be {MAX_RANGE_DAYS} days long at most", "start")
        count = (end - start) // step + 1
        if count > MAX_POINTS:
            problem = f"{count:,} points for each series are too many: {MAX_POINTS:,} are allowed; choose a longer step"
            raise ValidationError(problem, "step")
        return {"query": data["query"], "grid": Grid(start, step, count)}


class QueryDataSchema(BaseSchema):
    resultType = fields.String(required=True, metadata={"description": "vector, matrix or scalar"})
    result = fields.List(
        fields.Raw(), required=True, metadata={"description": "Series with `metric` and `value` or `values`"}
    )


class QueryAnswerSchema(BaseSchema):
    """The answer of Prometheus' HTTP API."""

    status = fields.String(required=True, metadata={"enum": ["success"]})
    data = fields.Nested(QueryDataSchema, required=True)


class QueryErrorSchema(BaseSchema):
    status = fields.String(required=True, metadata={"enum": ["error"]})
    errorType = fields.String(required=True, metadata={"description": "The word that Prometheus has for it"})
    error = fields.String(required=True, metadata={"description": "The reason, and what to do"})
