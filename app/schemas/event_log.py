"""Schemas of the event log."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate

from app.schemas.base import MAC, BaseSchema, CommaList, Mac
from app.services.event_log.kinds import EventKind, LoggedEvent
from app.services.event_log.service import EventQuery

MOST_EVENTS, USUAL_EVENTS = 500, 100
SINCE = "A time such as 2026-11-27T08:00:00Z, or a duration before now such as -24h (s, m, h, d), is needed."
_KINDS = f"One or more of {', '.join(EventKind)} is needed."
_CURSOR = "The nextCursor of an earlier answer is needed."
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII)
_DURATION = re.compile(r"-(\d{1,7})([smhd])", re.ASCII)
_LONGEST_SECONDS = 100 * 366 * 86400
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class PastTime(fields.Field[datetime | timedelta]):
    """ISO 8601, or a duration before now such as `-24h`, returned as a timedelta. A time without a zone is UTC."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime | timedelta:
        try:
            if before := _DURATION.fullmatch(str(value)):
                return timedelta(seconds=min(int(before[1]) * _UNITS[before[2]], _LONGEST_SECONDS))
            # "+" means a space in a query that was not encoded.
            moment = datetime.fromisoformat(str(value).replace(" ", "+") if "T" in str(value) else str(value))
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            raise ValidationError(SINCE) from None


class EventPageSchema(BaseSchema):
    kind = CommaList(load_default=list, metadata={"description": "Only events of these kinds, separated by commas"})
    since = PastTime(
        load_default=None,
        metadata={"type": "string", "description": "Only events from this time: ISO 8601, or a duration such as -24h"},
    )
    limit = fields.Integer(
        load_default=USUAL_EVENTS,
        validate=validate.Range(1, MOST_EVENTS),
        metadata={"description": "The number of events on a page"},
    )
    cursor = fields.String(
        load_default=None,
        validate=validate.Regexp(_UUID7, error=_CURSOR),
        metadata={"description": "The `nextCursor` of the page before"},
    )

    @post_load
    def _query(self, data: dict[str, Any], **kwargs: Any) -> EventQuery:
        try:
            kinds = tuple(dict.fromkeys(map(EventKind, data["kind"])))
        except ValueError:
            raise ValidationError({"kind": [_KINDS]}) from None
        return EventQuery(data["limit"], data.get("mac"), kinds, data["since"], data["cursor"])


class EventQuerySchema(EventPageSchema):
    mac = Mac(
        load_default=None,
        validate=validate.Regexp(MAC["pattern"], error=f"A MAC such as {MAC['example']} is needed."),
        metadata={"description": "Only events of this device"},
    )


class EventSchema(BaseSchema):
    id = fields.String(required=True)
    at = fields.String(required=True, metadata={"description": "Time of the event, of the first one if it repeats"})
    kind = fields.Enum(EventKind, by_value=True, required=True)
    mac = fields.String(required=True, allow_none=True, metadata={"description": "null for events of the service"})
    name = fields.String(required=True, allow_none=True, metadata={"description": "The user's name at the time"})
    hostname = fields.String(required=True, allow_none=True, metadata={"description": "The hostname at the time"})
    message = fields.String(required=True, metadata={"description": "One sentence"})
    details = fields.Dict(required=True, metadata={"description": "Depends on the kind"})
    count = fields.Integer(required=True, metadata={"description": "How often it happened within ten minutes"})
    last = fields.String(required=True, metadata={"description": "Time of the latest repetition"})


class EventsEnvelope(BaseSchema):
    message = fields.String(required=True)
    data = fields.List(fields.Nested(EventSchema), required=True)
    nextCursor = fields.String(
        required=True, allow_none=True, metadata={"description": "`cursor` of the next page; null on the last one"}
    )


def serialise_event(event: LoggedEvent) -> dict[str, Any]:
    return asdict(event)
