"""/devices/<mac>/...: settings and commands of one miner. Its MAC is verified before each write."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Response

from app.blueprints.base import JSON, Blueprint, current_actor, current_runtime
from app.errors import Invalid
from app.miners.mac import canonical_mac
from app.miners.setting_form import build_settings_form
from app.schemas.diagnostics import DiagnosticsSchema
from app.schemas.diagnostics import serialise_report as serialise_diagnostics
from app.schemas.system import (
    ChangedEnvelope,
    CommandEnvelope,
    JournalEnvelope,
    OptionsEnvelope,
    RevertSchema,
    SettingsEnvelope,
    SystemPatchSchema,
    serialise_form_field,
    serialise_options,
    serialise_overclock,
    serialise_report,
)
from app.services.configuration.journal import Origin
from app.services.configuration.service import SettingsRequest

blueprint = Blueprint("system", __name__, url_prefix="/devices", description="Settings and commands of one miner")

_MESSAGES = {
    "restart": "Device restarted successfully",
    "identify": "Device identify toggled successfully",
    "pause": "Device paused successfully",
    "resume": "Device resumed successfully",
}
_OTHER_MINER = "Another miner answers at the device's address; nothing was sent to it"
_FAILED = "The device cannot be reached, or failed"
_LATE = "The device did not answer in time"


@blueprint.patch("/<mac:mac>/system")
@blueprint.arguments(SystemPatchSchema)
@blueprint.response(200, ChangedEnvelope, description="The device now, and the result of each setting")
@blueprint.document_error(400, "A setting is invalid and nothing was written, or the miner accepted none")
@blueprint.document_error(401, "The miner requires a login or a one-time code, or refuses the service's address")
@blueprint.document_error(404, "Device not found")
@blueprint.document_error(409, _OTHER_MINER)
@blueprint.document_error(429, "The miner is busy with another command, or was restarted just now")
@blueprint.document_error(502, _FAILED)
@blueprint.document_error(504, _LATE)
def change_system(body: dict[str, Any], mac: str) -> dict[str, Any]:
    """Change settings of a miner

    Writes the settings that differ, after the MAC of the miner was verified, and reports the result of each one.
    Nothing is written if a value is invalid.
    """
    _require_object_of(mac, body.pop("mac", mac))
    asked = SettingsRequest(names_preset="preset_uuid" in body, **body)
    applied = current_runtime().settings_service.change_settings(mac, asked, Origin(current_actor()))
    return serialise_report("Device system info updated successfully", applied)


def _require_object_of(mac: str, stated: str) -> None:
    if stated != mac and canonical_mac(stated) is None:
        raise Invalid("The object's MAC address is none", {"mac": ["Not a MAC address."]})
    if stated != mac:
        raise Invalid("This is another device's object", {"mac": [f"Is of {stated}."]})


@blueprint.post("/<mac:mac>/system/restart")
@blueprint.response(200, CommandEnvelope)
@blueprint.document_error(404, "Device not found")
@blueprint.document_error(409, _OTHER_MINER)
@blueprint.document_error(429, "The miner was restarted less than 10 s ago")
@blueprint.document_error(502, _FAILED)
@blueprint.document_error(504, _LATE)
def restart_device(mac: str) -> dict[str, Any]:
    """Restart a miner

    Sends a restart after the MAC was verified; at most one per 10 seconds.
    """
    return {"message": _MESSAGES["restart"], "data": current_runtime().commands.restart_device(mac)}


@blueprint.post("/<mac:mac>/system/<any(identify, pause, resume):command>")
@blueprint.response(200, CommandEnvelope, description="identify toggles: a second call within 30 s ends it")
@blueprint.document_error(400, "The miner's firmware has no such command")
@blueprint.document_error(404, "Device not found")
@blueprint.document_error(409, _OTHER_MINER)
@blueprint.document_error(429, "The miner is busy with another command")
@blueprint.document_error(502, _FAILED)
@blueprint.document_error(504, _LATE)
def command_device(mac: str, command: str) -> dict[str, Any]:
    """Identify, pause or resume a miner

    `identify` makes the miner show itself; `pause` and `resume` stop and continue mining (AxeOS 2.14 and later).
    """
    return {"message": _MESSAGES[command], "data": current_runtime().commands.send_command(mac, command)}


@blueprint.get("/<mac:mac>/options")
@blueprint.response(200, OptionsEnvelope, description="The allowed frequencies and core voltages")
@blueprint.document_error(404, "Device not found")
def device_options(mac: str) -> dict[str, Any]:
    """List frequencies and voltages

    The vendor's options of this board, and the hard limits for overclocking.
    """
    tracked = current_runtime().devices.get_device(mac)
    return {"message": "Device options retrieved successfully", "data": serialise_options(tracked)}


@blueprint.get("/<mac:mac>/settings")
@blueprint.response(200, SettingsEnvelope, description="The settings that can be written to this miner now")
@blueprint.document_error(404, "Device not found")
def device_settings(mac: str) -> dict[str, Any]:
    """List the settings of a miner

    The fields of a settings form: the present value of each setting, and the values that PATCH
    /devices/{mac}/system accepts for it on this miner's firmware and board. Nothing is sent to the miner: the values
    are those of its last poll. The list is empty for a miner that was never polled.
    """
    tracked = current_runtime().devices.get_device(mac)
    form = build_settings_form(tracked.info, tracked.vendor_options)
    return {
        "message": "Device settings retrieved successfully",
        "data": list(map(serialise_form_field, form)),
        "overclock": serialise_overclock(tracked),
    }


@blueprint.get("/<mac:mac>/diagnostics")
@blueprint.response(200, DiagnosticsSchema, description="The report, as an attachment")
@blueprint.document_error(404, "Device not found")
def device_diagnostics(mac: str) -> Response:
    """Download a report about a miner

    One JSON file for a bug report: versions, the device with its last answer, its status and settings, the journal,
    the last events and the last log lines. It can be posted in public: passwords, tokens, pool users, wallet addresses,
    names of Wi-Fi networks, e-mail addresses, and name, notes and tags of the device are removed; MACs and IP addresses
    are shortened, equal ones alike. The hostname and the names of pools stay.
    """
    report = current_runtime().diagnostics.collect_report(mac)
    named = f'attachment; filename="pluto-{report.created_at[:19].replace(":", "")}.json"'
    body = orjson.dumps(serialise_diagnostics(report), option=orjson.OPT_INDENT_2)
    return Response(body, mimetype=JSON, headers={"Content-Disposition": named, "Cache-Control": "no-store"})


@blueprint.get("/<mac:mac>/journal")
@blueprint.response(200, JournalEnvelope, description="The writes to the miner, newest first; at most 200")
@blueprint.document_error(404, "Device not found")
def device_journal(mac: str) -> dict[str, Any]:
    """Read the journal of a miner

    Every write of this service to the miner: time, author, values before and after, outcome. Passwords are null.
    """
    entries = current_runtime().settings_service.list_entries(mac)
    return {"message": "Journal retrieved successfully", "data": entries}


@blueprint.post("/<mac:mac>/journal/<entry_id>/revert")
@blueprint.arguments(RevertSchema, required=False)
@blueprint.response(200, ChangedEnvelope, description="The entry's changes are reverted by a write like any other")
@blueprint.document_error(400, "A value cannot be restored and nothing was written, or the miner accepted none")
@blueprint.document_error(404, "Device or journal entry not found")
@blueprint.document_error(409, _OTHER_MINER)
@blueprint.document_error(429, "The miner is busy with another command")
@blueprint.document_error(502, _FAILED)
@blueprint.document_error(504, _LATE)
def revert_entry(body: dict[str, Any], mac: str, entry_id: str) -> dict[str, Any]:
    """Undo a write

    Writes the values before a journal entry again.
    """
    applied = current_runtime().settings_service.revert_entry(
        mac, entry_id, SettingsRequest(**body), Origin(current_actor())
    )
    return serialise_report("Change reverted successfully", applied)
