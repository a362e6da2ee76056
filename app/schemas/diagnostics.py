"""The report about one device for a bug report, redacted so that it can be posted in public."""

from __future__ import annotations

import platform
from typing import Any

from marshmallow import fields

from app.miners.dialects import name_firmware
from app.miners.setting_form import build_settings_form
from app.redaction.public_text import PublicRedactor, list_private_texts
from app.schemas.base import BaseSchema
from app.schemas.device import serialise_device
from app.schemas.device_row import serialise_problem
from app.schemas.event_log import serialise_event
from app.schemas.system import serialise_form_field, serialise_overclock
from app.services.devices.rows import build_row
from app.services.diagnostics import DeviceReport
from app.services.logs.log_filter import format_entry
from app.version import VERSION

# What the user wrote is left out: it may be anything.
_WRITTEN_BY_USER = frozenset({"name", "notes", "tags"})


class DiagnosticsSchema(BaseSchema):
    createdAt = fields.String(required=True)
    versions = fields.Dict(required=True, metadata={"description": "pluto, python, firmware, version, model, board"})
    device = fields.Dict(
        required=True, metadata={"description": "The device with its last answer; without name, notes and tags"}
    )
    problems = fields.List(fields.Dict(), required=True, metadata={"description": "As in GET /devices"})
    settings = fields.List(fields.Dict(), required=True, metadata={"description": "GET /devices/{mac}/settings"})
    overclock = fields.Dict(required=True)
    journal = fields.List(fields.Dict(), required=True, metadata={"description": "The last 50 writes, newest first"})
    events = fields.List(
        fields.Dict(), metadata={"description": "The last 100, newest first; absent if they cannot be read"}
    )
    log = fields.Dict(required=True, metadata={"description": "State of the stream, and the last 200 lines"})


def serialise_report(report: DeviceReport) -> dict[str, Any]:
    """Serialise a report, redacted."""
    tracked = report.tracked
    texts = [text for each in report.private_objects for text in list_private_texts(each)]
    redactor = PublicRedactor([*texts, tracked.device.name or ""], report.macs)
    page = report.log_page
    content = {
        "createdAt": report.created_at,
        "versions": {
            "pluto": VERSION,
            "python": platform.python_version(),
            "firmware": name_firmware(tracked.info),
            "version": tracked.info.get("version"),
            "model": tracked.model,
            "board": tracked.info.get("boardVersion"),
        },
        "device": _without_user_texts(serialise_device(tracked)),
        "problems": [serialise_problem(problem) for problem in build_row(tracked)["problems"]],
        "settings": [
            serialise_form_field(field) for field in build_settings_form(tracked.info, tracked.vendor_options)
        ],
        "overclock": serialise_overclock(tracked),
        "journal": list(report.entries),
        "events": None if report.events is None else [_without_user_texts(serialise_event(e)) for e in report.events],
        "log": {
            "state": str(page.state),
            "reason": page.reason,
            "lines": [format_entry(entry) for entry in page.entries],
        },
    }
    redacted: dict[str, Any] = redactor.redact_value({key: each for key, each in content.items() if each is not None})
    return redacted


def _without_user_texts(fields_of_object: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields_of_object.items() if key not in _WRITTEN_BY_USER}
