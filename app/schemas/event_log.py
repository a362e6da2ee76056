"""Schemas of the event log."""

from __future__ import annotations

import re
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate

from app.schemas.base import MAC, BaseSchema, CommaList, Mac
from app.schemas.history import TimeOrAge
from app.services.event_log.kinds import EventKind, LoggedEvent
from app.services.event_log.service import EventQuery

MOST_EVENTS, USUAL_EVENTS = 500, 100
_KINDS = f"One or more of {', '.join(EventKind)} is needed."
_CURSOR = "The nextCursor of an earlier answer is needed."
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII)


class EventPageSchema(BaseSchema):
    kind = CommaList(load_default=list, metadata={"description": "Only events of these kinds, separated by commas"})
    since = TimeOrAge(load_default=None)
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
    return {field: getattr(event, field) for field in LoggedEvent.__dataclass_fields__}
