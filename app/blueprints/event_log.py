"""/events and /devices/:mac/events: the event log, newest first."""

from __future__ import annotations

from typing import Any

from app.blueprints.base import Blueprint, current_runtime
from app.schemas.event_log import EventPageSchema, EventQuerySchema, EventsEnvelope, serialise_event
from app.services.event_log.service import EventPage, EventQuery

blueprint = Blueprint("event_log", __name__, description="Events of miners, jobs and the service")


@blueprint.get("/events")
@blueprint.arguments(EventQuerySchema, location="query")
@blueprint.response(200, EventsEnvelope, description="Newest first; also events of devices that were deleted")
def list_events(query: EventQuery) -> dict[str, Any]:
    """List events

    The event log of all devices and of the service, newest first, in pages.
    """
    return _page_answer(current_runtime().event_log.list_events(query))


@blueprint.get("/devices/<mac:mac>/events")
@blueprint.arguments(EventPageSchema, location="query")
@blueprint.response(200, EventsEnvelope, description="Newest first")
@blueprint.document_error(404, "Device not found, and no events of it")
def list_device_events(query: EventQuery, mac: str) -> dict[str, Any]:
    """List the events of a device

    The event log of one device, newest first, in pages.
    """
    return _page_answer(current_runtime().event_log.list_device_events(mac, query))


def _page_answer(page: EventPage) -> dict[str, Any]:
    return {
        "message": "Events retrieved successfully",
        "data": list(map(serialise_event, page.events)),
        "nextCursor": page.next_cursor,
    }
