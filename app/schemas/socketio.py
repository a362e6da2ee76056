"""The Socket.IO events, one row each, and the AsyncAPI document that is made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema, fields

from app.schemas.base import BaseSchema
from app.schemas.device import DeviceSchema, DriftSchema
from app.schemas.device_row import DeviceRowSchema, WatchedDeviceSchema
from app.schemas.discovery import ScanSchema
from app.schemas.event_log import EventSchema
from app.schemas.log import LogLineSchema, SubscribeSchema, UnsubscribeSchema
from app.version import VERSION

Payload = type[Schema] | Mapping[str, Any] | None
"""A schema, a JSON schema, or None for an event without a payload."""
_BOOLEAN = {"type": "boolean"}


class AcknowledgementSchema(BaseSchema):
    ok = fields.Boolean(required=True)
    error = fields.String(metadata={"description": "Why it was refused"})
    details = fields.Raw(metadata={"description": "Which fields are wrong"})
    mac = fields.String(metadata={"description": "The device, in canonical form"})


class LogAcknowledgementSchema(AcknowledgementSchema):
    epoch = fields.String(metadata={"description": "The epoch of `seq`"})
    state = fields.String(metadata={"description": "State of the stream"})
    last = fields.Integer(metadata={"description": "`seq` of the newest line"})
    warning = fields.String(metadata={"description": "About other readers of the log"})


class FleetUpdateSchema(BaseSchema):
    at = fields.String(required=True)
    devices = fields.List(fields.Nested(DeviceRowSchema), required=True, metadata={"description": "The changed rows"})
    removed = fields.List(fields.String(), required=True, metadata={"description": "MACs of deleted devices"})


class DeviceRemovedSchema(BaseSchema):
    mac = fields.String(required=True)
    ipRemoved = fields.String(required=True)
    remainingIps = fields.List(fields.String(), required=True, metadata={"description": "Of the monitored devices"})


class LogsUpdateSchema(BaseSchema):
    mac = fields.String(required=True)
    ip = fields.String(required=True)
    type = fields.String(required=True)
    createdAt = fields.String(required=True)
    updatedAt = fields.String(required=True)
    info = fields.String(required=True, metadata={"description": "The line as the miner sent it, without secrets"})


class LiveLineSchema(LogLineSchema):
    mac = fields.String(required=True)
    epoch = fields.String(required=True)
    lost = fields.Integer(metadata={"description": "In place of lines that the client was too slow for: their number"})


class JobUpdateSchema(BaseSchema):
    id = fields.String(required=True)
    state = fields.String(required=True)
    counts = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    paused = fields.Boolean(metadata={"description": "Present and true while the job is paused"})
    device = fields.Dict(metadata={"description": "The device whose state changed"})


class DriftUpdateSchema(BaseSchema):
    mac = fields.String(required=True)
    drift = fields.List(fields.Nested(DriftSchema), required=True, metadata={"description": "Empty: no drift now"})


@dataclass(frozen=True, slots=True)
class ClientEvent:
    """An event that clients send. `scope`: of the token that it needs."""

    name: str
    summary: str
    payload: Payload = None
    acknowledgement: Payload = None
    scope: str = "read"


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """An event that the service sends. `receivers`: who gets it."""

    name: str
    summary: str
    payload: Payload
    receivers: str = "all clients"


_NOT_FLEET = "all clients that did not send `subscribeFleet`"
CLIENT_EVENTS = (
    ClientEvent(
        "subscribeFleet", "Get `fleet_update`, and no more `stat_update` and `error`", None, AcknowledgementSchema
    ),
    ClientEvent("unsubscribeFleet", "End `subscribeFleet`", None, AcknowledgementSchema),
    ClientEvent("subscribeDevice", "Get `device_update` of one device", WatchedDeviceSchema, AcknowledgementSchema),
    ClientEvent("unsubscribeDevice", "End `subscribeDevice`", WatchedDeviceSchema, AcknowledgementSchema),
    ClientEvent(
        "subscribeLogs", "Get the log lines of a device as `log_line`", SubscribeSchema, LogAcknowledgementSchema
    ),
    ClientEvent("unsubscribeLogs", "End `subscribeLogs`", UnsubscribeSchema, AcknowledgementSchema),
    ClientEvent("checkLogsListening", "Ask for `logsListeningStatus`"),
    ClientEvent("enableLogsListening", "Switch `logs_update` on for all clients", scope="control"),
    ClientEvent("disableLogsListening", "Switch `logs_update` off for all clients", scope="control"),
)
SERVER_EVENTS = (
    ServerEvent("stat_update", "A device with a new reading, or one that went offline", DeviceSchema, _NOT_FLEET),
    ServerEvent("error", "A device that went offline, is locked or refused", DeviceSchema, _NOT_FLEET),
    ServerEvent("fleet_update", "Rows that changed, at most once per second", FleetUpdateSchema, "`subscribeFleet`"),
    ServerEvent("device_update", "A device that changed, at most once per second", DeviceSchema, "`subscribeDevice`"),
    ServerEvent("device_removed", "A device is no longer monitored, or was deleted", DeviceRemovedSchema),
    ServerEvent("drift", "The drift of a device changed", DriftUpdateSchema),
    ServerEvent("job_update", "A job or one of its devices changed its state", JobUpdateSchema),
    ServerEvent("scan_update", "Progress of a scan, at most four times per second", ScanSchema),
    ServerEvent("event", "A new event of the log, or a repetition of one", EventSchema),
    ServerEvent("log_line", "A line of a device's log", LiveLineSchema, "`subscribeLogs`"),
    ServerEvent("logs_update", "A log line of any device, while it is switched on", LogsUpdateSchema),
    ServerEvent("logsListeningStatus", "Whether `logs_update` is switched on", _BOOLEAN),
    ServerEvent(
        "events_lost",
        "Numbers of events, by name, that were dropped because the client read too slowly",
        {"type": "object", "additionalProperties": {"type": "integer"}},
        "a client that was too slow",
    ),
)


def build_asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3 document. Operations are those of the service: it receives what clients send."""
    spec = APISpec("Pluto", VERSION, "3.1.0", plugins=[MarshmallowPlugin(schema_name_resolver=_name_schema)])
    messages = {event.name: _build_message(spec, event) for event in (*CLIENT_EVENTS, *SERVER_EVENTS)}
    replies = {
        f"{event.name}Acknowledgement": {"name": event.name, "payload": _build_payload(spec, event.acknowledgement)}
        for event in CLIENT_EVENTS
        if event.acknowledgement is not None
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Pluto",
            "version": VERSION,
            "description": "Socket.IO (Engine.IO 4), polling and websocket, path `/socket/io`. Each message is an "
            "event of the default namespace. A token is sent as `auth: {token}`.",
        },
        "defaultContentType": "application/json",
        "servers": {"service": {"host": "localhost:3000", "pathname": "/socket/io", "protocol": "socket.io"}},
        "channels": {"events": {"address": "/", "messages": {**messages, **replies}}},
        "operations": dict(_build_operations()),
        "components": {"schemas": spec.to_dict()["components"]["schemas"]},
    }


def _build_operations() -> Iterable[tuple[str, dict[str, Any]]]:
    for sent in CLIENT_EVENTS:
        operation = _build_operation("receive", sent.name, sent.summary)
        operation["description"] = f"Needs a token with the scope `{sent.scope}`, if one is configured."
        if sent.acknowledgement is not None:
            reply = {"$ref": f"#/channels/events/messages/{sent.name}Acknowledgement"}
            operation["reply"] = {"channel": {"$ref": "#/channels/events"}, "messages": [reply]}
        yield sent.name, operation
    for event in SERVER_EVENTS:
        operation = _build_operation("send", event.name, event.summary)
        yield event.name, {**operation, "description": f"Sent to: {event.receivers}."}


def _build_operation(action: str, name: str, summary: str) -> dict[str, Any]:
    return {
        "action": action,
        "summary": summary,
        "channel": {"$ref": "#/channels/events"},
        "messages": [{"$ref": f"#/channels/events/messages/{name}"}],
    }


def _build_message(spec: APISpec, event: ClientEvent | ServerEvent) -> dict[str, Any]:
    message: dict[str, Any] = {"name": event.name, "summary": event.summary}
    return message if event.payload is None else {**message, "payload": _build_payload(spec, event.payload)}


def _build_payload(spec: APISpec, payload: Payload) -> Mapping[str, Any]:
    """Return a reference to a schema, which is added to the components, or the JSON schema itself."""
    if not isinstance(payload, type):
        return payload or {}
    name = _name_schema(payload)
    if name not in spec.components.schemas:
        spec.components.schema(name, schema=payload)
    return {"$ref": f"#/components/schemas/{name}"}


def _name_schema(schema: Any) -> str:
    kind = schema if isinstance(schema, type) else type(schema)
    return kind.__name__.removesuffix("Schema")
