"""Schema of the service's own state."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

from marshmallow import fields

from app.clock import format_iso
from app.schemas.base import BaseSchema, envelope
from app.version import VERSION

if TYPE_CHECKING:
    from app.services.resource_usage import Usage


class ProcessSchema(BaseSchema):
    cpuSeconds = fields.Float(required=True, metadata={"description": "CPU time since the start"})
    cpuPercent = fields.Float(
        required=True, metadata={"description": "Of one core, since about a minute ago or the last request before that"}
    )
    residentBytes = fields.Integer(metadata={"description": "Resident memory of the worker"})


class DeviceCountsSchema(BaseSchema):
    registered = fields.Integer(required=True)
    monitored = fields.Integer(required=True)
    online = fields.Integer(required=True, metadata={"description": "Online, stale or restarting"})


class PollCountsSchema(BaseSchema):
    completed = fields.Integer(required=True, metadata={"description": "Since the start"})
    failed = fields.Integer(required=True)


class AboutSchema(BaseSchema):
    version = fields.String(required=True)
    python = fields.String(required=True)
    startedAt = fields.String(required=True)
    uptimeSeconds = fields.Float(required=True)
    process = fields.Nested(ProcessSchema, required=True)
    devices = fields.Nested(DeviceCountsSchema, required=True)
    polls = fields.Nested(PollCountsSchema, required=True)
    clients = fields.Integer(required=True, metadata={"description": "Connected Socket.IO clients"})


AboutEnvelope = envelope(fields.Nested(AboutSchema), "AboutAnswer")


def serialise_about(usage: Usage, devices: dict[str, int], polls: dict[str, int], clients: int) -> dict[str, Any]:
    return {
        "version": VERSION,
        "python": platform.python_version(),
        "startedAt": format_iso(usage.started_at),
        "uptimeSeconds": round(usage.uptime_seconds, 3),
        "process": {
            "cpuSeconds": round(usage.cpu_seconds, 3),
            "cpuPercent": round(usage.cpu_percent, 3),
            **({"residentBytes": usage.resident_bytes} if usage.resident_bytes is not None else {}),
        },
        "devices": devices,
        "polls": polls,
        "clients": clients,
    }
