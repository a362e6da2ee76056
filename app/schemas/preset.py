"""Schemas of presets. The parts of a configuration are validated by preset_rules, as the settings of miners are."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, validate

from app.miners.values import parse_number
from app.redaction.json_objects import redact_object
from app.schemas.base import BaseSchema, Fields, envelope
from app.services.configuration.presets import Preset
from app.store.nesting import MAX_DEPTH, is_too_deep

_NAME = validate.Length(1, 128)


def _shallow(configuration: Any) -> None:
    """Reject a record that is nested too deeply to be returned."""
    if is_too_deep(configuration, MAX_DEPTH - 1):
        raise ValidationError(f"Must not be nested more than {MAX_DEPTH - 1} deep.")


_CONFIGURATION = {
    "description": "Firmware names, each part optional: stratumURL, stratumPort, stratumUser, stratumPassword and "
    "their fallback twins, frequency, coreVoltage, autofanspeed, manualFanSpeed, minFanSpeed, temptarget, display, "
    "rotation, ..., and workerTemplate, which may name {hostname} and {mac}. Passwords are kept and never sent out"
}


class PresetSchema(BaseSchema):
    uuid = fields.String(required=True, metadata={"description": "UUIDv7, made here"})
    name = fields.String(required=True)
    configuration = fields.Dict(required=True, metadata=_CONFIGURATION)
    associatedDevices = fields.Integer(required=True, metadata={"description": "How many devices use it"})
    createdAt = fields.String()
    updatedAt = fields.String()


class NewPresetSchema(BaseSchema):
    """`uuid`, `createdAt`, `updatedAt` and `associatedDevices` of a preset that is copied are ignored."""

    name = fields.String(required=True, validate=_NAME)
    configuration = Fields(keys=fields.String(), required=True, validate=_shallow, metadata=_CONFIGURATION)


class PresetPatchSchema(BaseSchema):
    name = fields.String(validate=_NAME)
    configuration = Fields(
        keys=fields.String(),
        validate=_shallow,
        metadata={"description": 'Only what is named changes; a part given as null or "" is taken out'},
    )


PresetEnvelope = envelope(fields.Nested(PresetSchema), "PresetAnswer")
PresetsEnvelope = envelope(fields.List(fields.Nested(PresetSchema)), "PresetsAnswer")


def serialise_preset(preset: Preset) -> dict[str, Any]:
    """Serialise a preset without secrets. Fields that only the Node backend knows are passed on; it stored the port
    as text."""
    record = redact_object(preset.record)
    configuration = record.get("configuration")
    shown = dict(configuration) if isinstance(configuration, dict) else {}
    for key in ("stratumPort", "fallbackStratumPort"):
        port = parse_number(shown.get(key))
        shown |= {} if port is None else {key: int(port)}
    return {**record, "configuration": shown, "associatedDevices": preset.devices}
