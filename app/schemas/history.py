"""Schemas of the history, and its two formats."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from marshmallow import ValidationError, fields, validate

from app.clock import format_iso
from app.schemas.base import BaseSchema, CommaList, count_between, envelope
from app.services.history.metrics import DEFAULT_METRICS
from app.services.history.queries import MAX_POINTS, HistoryAnswer
from app.throttle import throttled

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_RELATIVE = re.compile(r"-(\d{1,6})([smhdw])")
TIME_SHAPE = {
    "type": "string",
    "example": "-24h",
    "description": "ISO 8601, Unix seconds, or relative to now: `-24h` (s, m, h, d, w); `now`",
}


class TimeOrAge(fields.Field[datetime | timedelta]):
    """A time: ISO 8601 or Unix seconds → datetime; `-24h` or `now` → timedelta before now."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "metadata": {**TIME_SHAPE, **kwargs.get("metadata", {})}})

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime | timedelta:
        text = str(value).strip()
        if text == "now":
            return timedelta()
        if relative := _RELATIVE.fullmatch(text):
            return timedelta(**{_UNITS[relative[2]]: int(relative[1])})
        try:
            # A plus sign of a time zone is a space in a query that is not encoded.
            time = datetime.fromtimestamp(float(text), UTC) if _is_number(text) else _parse_iso(text.replace(" ", "+"))
        except (ValueError, OverflowError, OSError):
            raise ValidationError(
                "A time is needed: ISO 8601 such as 2026-11-27T20:00:00Z, Unix seconds, or relative such as -24h."
            ) from None
        return time


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\d{1,11}(\.\d{1,9})?", text) is not None


def _parse_iso(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


class HistoryQuerySchema(BaseSchema):
    metrics = CommaList(
        load_default=lambda: list(DEFAULT_METRICS),
        validate=count_between(1, 50),
        metadata={"description": "Names of metrics, separated by commas", "example": "hashrate_ghs,power_watts"},
    )
    start = TimeOrAge(data_key="from", load_default=lambda: timedelta(hours=24), metadata={"default": "-24h"})
    stop = TimeOrAge(data_key="to", load_default=timedelta, metadata={"default": "now"})
    points = fields.Integer(
        load_default=500,
        validate=validate.Range(1, MAX_POINTS),
        metadata={"description": "The answer has at most so many; its step is a multiple of the tier's resolution"},
    )
    format = fields.String(
        validate=validate.OneOf(("json", "csv")), metadata={"description": "Overrides the Accept header"}
    )


class FleetHistoryQuerySchema(HistoryQuerySchema):
    tag = fields.String(
        validate=validate.Length(1, 64), metadata={"description": "Only the devices with this tag, at that time"}
    )


MOST_DEVICES = 100


class DevicesHistoryQuerySchema(BaseSchema):
    macs = CommaList(
        required=True,
        validate=count_between(1, MOST_DEVICES),
        metadata={"description": f"MACs, separated by commas; at most {MOST_DEVICES}", "example": "02:00:5e:00:00:03"},
    )
    metric = fields.String(load_default=DEFAULT_METRICS[0], metadata={"description": "Name of one metric"})
    start = TimeOrAge(data_key="from", load_default=lambda: timedelta(hours=1), metadata={"default": "-1h"})
    stop = TimeOrAge(data_key="to", load_default=timedelta, metadata={"default": "now"})
    points = fields.Integer(load_default=30, validate=validate.Range(1, 200))


class DevicesHistorySchema(BaseSchema):
    metric = fields.String(required=True)
    step = fields.Integer(required=True, metadata={"description": "Seconds per point"})
    times = fields.List(
        fields.Integer(), required=True, metadata={"description": "Unix seconds at which each point begins"}
    )
    values = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.Float(allow_none=True)),
        required=True,
        metadata={"description": "By MAC: the mean (or sum, or last value) per point; null where nothing was recorded"},
    )


DevicesHistoryEnvelope = envelope(fields.Nested(DevicesHistorySchema), "DevicesHistoryAnswer")


class SimulatedSchema(BaseSchema):
    start = fields.String(data_key="from", required=True)
    stop = fields.String(data_key="to", required=True)


class HistorySchema(BaseSchema):
    series = fields.String(required=True, metadata={"description": "The MAC, `fleet` or `tag:<tag>`"})
    tier = fields.String(required=True, metadata={"description": "`raw`, `1m` or `15m`"})
    step = fields.Integer(required=True, metadata={"description": "Seconds per point"})
    times = fields.List(
        fields.Integer(), required=True, metadata={"description": "Unix seconds at which each point begins"}
    )
    metrics = fields.Dict(
        keys=fields.String(),
        values=fields.Dict(keys=fields.String(), values=fields.List(fields.Float(allow_none=True))),
        required=True,
        metadata={
            "description": "By metric: `mean`, `min`, `max` of a measurement, `sum` of a counter's increase, `last` of "
            "a setting, or the share of each status; null where nothing was recorded"
        },
    )
    simulated = fields.Nested(SimulatedSchema, metadata={"description": "The part that a demo filled in"})


HistoryEnvelope = envelope(fields.Nested(HistorySchema), "HistoryAnswer")


def serialise_history(answer: HistoryAnswer) -> bytes:
    data = {
        "series": answer.series,
        "tier": answer.tier,
        "step": answer.step,
        "times": list(answer.times),
        "metrics": answer.metrics,
        **({"simulated": answer.simulated} if answer.simulated else {}),
    }
    return orjson.dumps({"message": "History retrieved successfully", "data": data})


def serialise_device_histories(metric: str, answers: Mapping[str, HistoryAnswer]) -> bytes:
    """Return the first statistic of the metric of each device: its mean, sum or last value."""
    axis = next(iter(answers.values()), None)
    data = {
        "metric": metric,
        "step": axis.step if axis else 0,
        "times": list(axis.times) if axis else [],
        "values": {mac: next(iter(answer.metrics[metric].values()), []) for mac, answer in answers.items()},
    }
    return orjson.dumps({"message": "History retrieved successfully", "data": data})


def format_csv(answer: HistoryAnswer) -> Iterator[bytes]:
    """Yield the header and one line per point; an absent value is empty."""
    columns = [(name, statistic) for name, statistics in answer.metrics.items() for statistic in statistics]
    yield (",".join(["time", *(f"{name}_{statistic}" for name, statistic in columns)]) + "\r\n").encode()
    values = [answer.metrics[name][statistic] for name, statistic in columns]
    for at, time in enumerate(throttled(answer.times)):
        row = ["" if column[at] is None else repr(column[at]) for column in values]
        yield (",".join([format_iso(datetime.fromtimestamp(time, UTC)), *row]) + "\r\n").encode()
