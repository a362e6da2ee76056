"""Schemas of settings and commands of one miner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import fields, post_load, validate

from app.miners.patch_bodies import merge_pool_settings
from app.miners.setting_form import FormField, InputType
from app.miners.setting_labels import SettingGroup
from app.miners.setting_limits import compute_hard_limits, is_unlocked
from app.miners.settings_diff import MAX_LISTED, WriteStatus
from app.miners.vendor_options import add_present_values
from app.schemas.base import BaseSchema, Fields, Mac, StrictBoolean, envelope
from app.schemas.device import DeviceSchema, serialise_device
from app.schemas.info import without_empty_texts
from app.services.configuration.results import WriteReport
from app.services.devices.fleet import Tracked

_RESTART = {"description": "Restart the miner if a change needs it"}
_OVERCLOCK = {
    "description": "Go beyond the vendor's options, within the hard limits, on a miner that has overclocking unlocked"
}
STATUSES = tuple(map(str, WriteStatus))
# The fields of a device object that a client sends back.
_DEVICE_FIELDS = frozenset(DeviceSchema().fields)


class SystemPatchSchema(BaseSchema):
    """A whole device object is accepted: of its `info` only values that differ from the miner's count, and readings
    never do."""

    mac = Mac(metadata={"description": "The MAC of the object; another device's object is rejected"})
    presetUuid = fields.String(allow_none=True, validate=validate.Length(max=64), attribute="preset_uuid")
    info = Fields(keys=fields.String(), metadata={"description": "If absent, the settings stay unchanged"})
    restart = StrictBoolean(load_default=False, metadata=_RESTART)
    allowOverclock = StrictBoolean(load_default=False, attribute="allow_overclock", metadata=_OVERCLOCK)

    @post_load(pass_original=True)
    def _note_unknown(self, data: dict[str, Any], original: Mapping[str, Any], **kwargs: Any) -> dict[str, Any]:
        unknown = [key for key in original if key not in self.fields and key not in _DEVICE_FIELDS]
        return {
            **data,
            "unknown": tuple(unknown[:MAX_LISTED]),
            "only_unknown": bool(unknown) and len(unknown) == len(original),
        }


class RevertSchema(BaseSchema):
    restart = StrictBoolean(load_default=False, metadata=_RESTART)
    allowOverclock = StrictBoolean(load_default=False, attribute="allow_overclock", metadata=_OVERCLOCK)


class ChangeSchema(BaseSchema):
    key = fields.String(required=True)
    requested = fields.Raw(allow_none=True, metadata={"description": "null for a password"})
    actual = fields.Raw(allow_none=True, metadata={"description": "What the miner reports now"})
    status = fields.String(
        required=True,
        validate=validate.OneOf(STATUSES),
        metadata={"description": "refused: the miner did not accept it; unsupported: it cannot be set here"},
    )
    reason = fields.String(allow_none=True)


class OptionsSchema(BaseSchema):
    frequencies = fields.List(fields.Raw(), metadata={"description": "MHz"})
    voltages = fields.List(fields.Raw(), metadata={"description": "mV"})
    source = fields.String(metadata={"description": "`device`: reported by the device; `table`: the vendor's, by chip"})
    overclock = fields.Dict(
        metadata={"description": "unlocked (on the miner); frequency and coreVoltage: the hard limits {min, max}"}
    )


class SettingSchema(BaseSchema):
    key = fields.String(required=True, metadata={"description": "The key of PATCH /devices/{mac}/system"})
    group = fields.Enum(SettingGroup, by_value=True, required=True)
    label = fields.String(required=True)
    type = fields.Enum(
        InputType, by_value=True, required=True, metadata={"description": "secret: text that is never shown"}
    )
    value = fields.Raw(metadata={"description": "The present value; absent if it is secret or not reported"})
    options = fields.List(fields.Raw(), metadata={"description": "The values of a choice, the present one included"})
    optionLabels = fields.List(fields.String(), metadata={"description": "A label for each of `options`"})
    min = fields.Raw(metadata={"type": "number"})
    max = fields.Raw(metadata={"type": "number"})
    step = fields.Raw(metadata={"type": "number"})
    unit = fields.String()
    needsRestart = fields.Boolean(required=True, metadata={"description": "A change acts after a restart only"})
    hint = fields.String()


class JournalEntrySchema(BaseSchema):
    id = fields.String(required=True)
    at = fields.String(required=True)
    actor = fields.String(required=True, metadata={"description": "The peer's address or a token's name"})
    job = fields.String(allow_none=True)
    before = fields.Dict(required=True, metadata={"description": "Value by key; null for a password"})
    after = fields.Dict(required=True)
    outcome = fields.String(required=True, metadata={"description": "in_doubt until it is known"})
    changes = fields.List(fields.Dict())
    presetBefore = fields.String(allow_none=True)
    presetAfter = fields.String(allow_none=True)
    reverts = fields.String()


ChangedEnvelope = BaseSchema.from_dict(
    {
        "message": fields.String(required=True),
        "data": fields.Nested(DeviceSchema, metadata={"description": "The device, with the accepted pools"}),
        "changes": fields.List(fields.Nested(ChangeSchema)),
        "restarted": fields.Boolean(metadata={"description": "True if a restart was sent"}),
    },
    name="ChangedAnswer",
)
CommandEnvelope = envelope(
    fields.Raw(metadata={"description": "The miner's answer: its `message`, its JSON, or its text"}), "CommandAnswer"
)
SettingsEnvelope = BaseSchema.from_dict(
    {
        "message": fields.String(required=True),
        "data": fields.List(fields.Nested(SettingSchema), required=True),
        "overclock": fields.Dict(
            required=True,
            metadata={"description": "unlocked (on the miner); frequency and coreVoltage: the hard limits {min, max}"},
        ),
    },
    name="SettingsAnswer",
)
OptionsEnvelope = envelope(fields.Nested(OptionsSchema), "OptionsAnswer")
JournalEnvelope = envelope(fields.List(fields.Nested(JournalEntrySchema)), "JournalAnswer")


def serialise_report(message: str, applied: WriteReport) -> dict[str, Any]:
    """Serialise the whole device, with the accepted pools over its last reading: firmware may need a moment to
    report them."""
    device = serialise_device(applied.tracked)
    changes = [
        {
            "key": each.key,
            "requested": each.requested,
            "actual": each.actual,
            "status": each.status,
            "reason": each.reason,
        }
        for each in applied.results
    ]
    data = {**device, "info": without_empty_texts(merge_pool_settings(device["info"], applied.accepted_values))}
    return {"message": message, "data": data, "changes": changes, "restarted": applied.restarted}


def serialise_options(tracked: Tracked) -> dict[str, Any]:
    options = add_present_values(tracked.vendor_options, tracked.info)
    return {
        "frequencies": list(options.frequencies),
        "voltages": list(options.voltages),
        "source": options.source,
        "overclock": serialise_overclock(tracked),
    }


def serialise_overclock(tracked: Tracked) -> dict[str, Any]:
    limits = compute_hard_limits(tracked.vendor_options).items()
    return {
        "unlocked": is_unlocked(tracked.info),
        **{key: band and {"min": band[0], "max": band[1]} for key, band in limits},
    }


def serialise_form_field(field: FormField) -> dict[str, Any]:
    """Serialise a field of the settings form; absent values have no key."""
    domain, label = field.domain, field.label
    labelled = any(value in label.value_labels for value in domain.options)
    names = [label.value_labels.get(value, str(value)) for value in domain.options]
    optional = {
        "value": field.value,
        "options": list(domain.options) or None,
        "optionLabels": names if labelled else None,
        "min": domain.min,
        "max": domain.max,
        "step": domain.step,
        "unit": label.unit,
        "hint": label.hint,
    }
    return {
        "key": field.key,
        "group": label.group,
        "label": label.label,
        "type": domain.type,
        "needsRestart": field.needs_restart,
        **{key: value for key, value in optional.items() if value is not None},
    }
