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
    cpuPercent = fields.Float(required=True, metadata={"description": "Of one core, over the last minute"})
    residentBytes = fields.Integer(metadata={"description": "Resident memory of the worker"})
    threads = fields.Integer(metadata={"description": "Threads of the worker, those of the store included"})


class DeviceCountsSchema(BaseSchema):
    registered = fields.Integer(required=True)
    monitored = fields.Integer(required=True)
    online = fields.Integer(required=True, metadata={"description": "Online, stale or restarting"})


class PollCountsSchema(BaseSchema):
    completed = fields.Integer(required=True, metadata={"description": "Since the start"})
    failed = fields.Integer(required=True)


class LoopLagSchema(BaseSchema):
    """How late the event loop came back to a timer, over the last minute; empty in the first second."""

    meanSeconds = fields.Float()
    maxSeconds = fields.Float()


class AboutSchema(BaseSchema):
    version = fields.String(required=True)
    python = fields.String(required=True)
    startedAt = fields.String(required=True)
    uptimeSeconds = fields.Float(required=True)
    process = fields.Nested(ProcessSchema, required=True)
    devices = fields.Nested(DeviceCountsSchema, required=True)
    polls = fields.Nested(PollCountsSchema, required=True)
    clients = fields.Integer(required=True, metadata={"description": "Connected Socket.IO clients"})
    loopLag = fields.Nested(LoopLagSchema, required=True)


AboutEnvelope = envelope(fields.Nested(AboutSchema), "AboutAnswer")


def serialise_about(usage: Usage, devices: dict[str, int], polls: dict[str, int], clients: int) -> dict[str, Any]:
    lags = {"meanSeconds": usage.lag_mean, "maxSeconds": usage.lag_max}
    return {
        "version": VERSION,
        "python": platform.python_version(),
        "startedAt": format_iso(usage.started_at),
        "uptimeSeconds": round(usage.uptime_seconds, 3),
        "process": {
            "cpuSeconds": round(usage.cpu_seconds, 3),
            "cpuPercent": round(usage.cpu_percent, 3),
            **({"residentBytes": usage.resident_bytes} if usage.resident_bytes is not None else {}),
            **({"threads": usage.threads} if usage.threads is not None else {}),
        },
        "devices": devices,
        "polls": polls,
        "clients": clients,
        "loopLag": {key: round(lag, 6) for key, lag in lags.items() if lag is not None},
    }
