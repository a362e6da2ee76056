"""Schemas of logs."""

from __future__ import annotations

from typing import Any, TypedDict

import orjson
from marshmallow import ValidationError, fields, post_load, validate

from app.schemas.base import BaseSchema, CommaList, Mac, envelope
from app.services.logs.cursor import LogBatch
from app.services.logs.device_log import NOTE_TAG, DeviceLog
from app.services.logs.log_filter import LEVELS, LogFilter, format_lost_lines
from app.services.logs.ring_buffer import MAX_LINES, LogEntry

MAX_SEQ = 2**53
_LEVEL_NAMES = dict(zip(("error", "warning", "info", "debug", "verbose"), LEVELS, strict=True))


class StrictInteger(fields.Integer):
    """A JSON integer; marshmallow's own field also accepts "5" and true."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValidationError("Not a valid integer.")
        return value


class Level(fields.Field[str]):
    """`W` or `warning` → W."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        level = _LEVEL_NAMES.get(str(value).lower(), str(value).upper())
        if level not in LEVELS:
            raise ValidationError(f"One of {', '.join(LEVELS)} or {', '.join(_LEVEL_NAMES)} is needed.")
        return level


class LogQuerySchema(BaseSchema):
    tail = fields.Integer(
        validate=validate.Range(1, MAX_LINES), metadata={"description": "Only this number of lines, the latest"}
    )
    level = Level(
        metadata={
            "description": "Only lines of this level or more severe: E, W, I, D or V",
            "type": "string",
            "pattern": "^([EWIDVewidv]|error|warning|info|debug|verbose)$",
        }
    )
    tag = CommaList(load_default=list, metadata={"description": "Only lines with one of these tags"})
    since = fields.Integer(
        validate=validate.Range(0, MAX_SEQ), metadata={"description": "Only lines with a higher `seq`"}
    )
    epoch = fields.String(metadata={"description": "The epoch of `since`; with another epoch, all lines are returned"})
    format = fields.String(
        validate=validate.OneOf(("json", "text")), metadata={"description": "Overrides the Accept header"}
    )

    @post_load
    def _wanted(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        wanted = LogFilter(
            data.get("tail"), data.get("level"), tuple(data["tag"]), data.get("since"), data.get("epoch")
        )
        return {"wanted": wanted, "format": data.get("format")}


class DownloadSchema(BaseSchema):
    follow = fields.Boolean(
        load_default=False, metadata={"description": "Continue with new lines; the stream stays open meanwhile"}
    )


class SubscribeSchema(BaseSchema):
    mac = Mac(required=True, validate=validate.Length(1, 64))
    since = StrictInteger(allow_none=True, validate=validate.Range(0, MAX_SEQ))
    epoch = fields.String(allow_none=True, validate=validate.Length(max=64))


class UnsubscribeSchema(BaseSchema):
    mac = Mac(required=True, validate=validate.Length(1, 64))


class LogLineSchema(BaseSchema):
    seq = fields.Integer(required=True, metadata={"description": "Increases by one per line within an epoch"})
    at = fields.String(required=True, allow_none=True, metadata={"description": "Time of the line; null if unknown"})
    level = fields.String(required=True, allow_none=True, metadata={"description": "E, W, I, D, V"})
    tag = fields.String(required=True, allow_none=True, metadata={"description": "`pluto` for lines of this service"})
    uptimeMs = fields.Integer(required=True, allow_none=True, metadata={"description": "ms since the miner's start"})
    text = fields.String(required=True, metadata={"description": "Without colours and secrets"})


class LogSchema(BaseSchema):
    mac = fields.String(required=True)
    epoch = fields.String(required=True, metadata={"description": "A new epoch: `seq` started again"})
    state = fields.String(
        required=True, metadata={"description": "State of the stream: idle, connecting, streaming, waiting, refused"}
    )
    reason = fields.String(metadata={"description": "Why it is waiting or refused"})
    last = fields.Integer(required=True, metadata={"description": "`seq` of the newest line"})
    dropped = fields.Integer(
        required=True, metadata={"description": "Number of lines that were dropped for newer ones"}
    )
    lines = fields.List(fields.Nested(LogLineSchema), required=True)


LogEnvelope = envelope(fields.Nested(LogSchema), "LogAnswer")


class LineFields(TypedDict):
    """One log line as clients get it."""

    seq: int
    at: str | None
    level: str | None
    tag: str | None
    uptimeMs: int | None
    text: str


def line_fields(entry: LogEntry) -> LineFields:
    line = entry.line
    return {
        "seq": entry.seq,
        "at": entry.at,
        "level": line.level,
        "tag": line.tag,
        "uptimeMs": line.uptime_ms,
        "text": line.text,
    }


def serialise_line(log: DeviceLog, entry: LogEntry) -> orjson.Fragment:
    """Return the payload of `log_line`."""
    return orjson.Fragment(orjson.dumps({"mac": log.mac, "epoch": log.epoch, **line_fields(entry)}))


def serialise_lost_lines(log: DeviceLog, batch: LogBatch) -> orjson.Fragment:
    """Return a `log_line` in place of lines that the client was too slow for; `lost`: their number. Its `seq` is
    that of the last one, so that the numbers stay in order."""
    line = {"seq": batch.lost_until, "at": None, "level": "W", "tag": NOTE_TAG, "uptimeMs": None}
    text = {"text": format_lost_lines(batch.lost_count), "lost": batch.lost_count}
    return orjson.Fragment(orjson.dumps({"mac": log.mac, "epoch": log.epoch, **line, **text}))
