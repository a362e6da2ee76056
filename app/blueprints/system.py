"""/devices/<mac>/...: what is asked of one miner. Its MAC is read right before."""

from __future__ import annotations

from typing import Any

from app.blueprints.base import Blueprint, actor, runtime
from app.errors import Invalid
from app.miners.mac import canonical_mac
from app.schemas.system import (
    ChangedEnvelope,
    CommandEnvelope,
    JournalEnvelope,
    OptionsEnvelope,
    RevertSchema,
    SystemPatchSchema,
    changed_on_the_wire,
    options_on_the_wire,
)
from app.services.configuration.journal import Origin
from app.services.configuration.service import SystemRequest

blueprint = Blueprint("system", __name__, url_prefix="/devices", description="What is asked of one miner")

_SAID = {
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
@blueprint.response(200, ChangedEnvelope, description="The device as it is now, and what became of each setting")
@blueprint.alt(400, "Something cannot be set like this, and nothing was written; or the miner took none of it")
@blueprint.alt(401, "The miner wants a login or its one-time code, or refuses our address")
@blueprint.alt(404, "Device not found")
@blueprint.alt(409, _OTHER_MINER)
@blueprint.alt(429, "It is busy with another command, or was restarted a moment ago")
@blueprint.alt(502, _FAILED)
@blueprint.alt(504, _LATE)
def change_system(body: dict[str, Any], mac: str) -> dict[str, Any]:
    _require_object_of(mac, body.pop("mac", mac))
    asked = SystemRequest(names_preset="preset_uuid" in body, **body)
    applied = runtime().system_settings.change(mac, asked, Origin(actor()))
    return changed_on_the_wire("Device system info updated successfully", applied)


def _require_object_of(mac: str, stated: str) -> None:
    if stated != mac and canonical_mac(stated) is None:
        raise Invalid("The object's MAC address is none", {"mac": ["Not a MAC address."]})
    if stated != mac:
        raise Invalid("This is another device's object", {"mac": [f"Is of {stated}."]})


@blueprint.post("/<mac:mac>/system/restart")
@blueprint.response(200, CommandEnvelope)
@blueprint.alt(404, "Device not found")
@blueprint.alt(409, _OTHER_MINER)
@blueprint.alt(429, "It was restarted a moment ago")
@blueprint.alt(502, _FAILED)
@blueprint.alt(504, _LATE)
def restart_device(mac: str) -> dict[str, Any]:
    return {"message": _SAID["restart"], "data": runtime().commands.restart(mac)}


@blueprint.post("/<mac:mac>/system/<any(identify, pause, resume):command>")
@blueprint.response(200, CommandEnvelope, description="identify toggles: a second one within 30 s ends it")
@blueprint.alt(400, "The miner's firmware has no such command")
@blueprint.alt(404, "Device not found")
@blueprint.alt(409, _OTHER_MINER)
@blueprint.alt(429, "It is busy with another command")
@blueprint.alt(502, _FAILED)
@blueprint.alt(504, _LATE)
def command_device(mac: str, command: str) -> dict[str, Any]:
    return {"message": _SAID[command], "data": runtime().commands.command(mac, command)}


@blueprint.get("/<mac:mac>/options")
@blueprint.response(200, OptionsEnvelope, description="What frequency and core voltage may be set to")
@blueprint.alt(404, "Device not found")
def device_options(mac: str) -> dict[str, Any]:
    tracked = runtime().devices.get(mac)
    return {"message": "Device options retrieved successfully", "data": options_on_the_wire(tracked)}


@blueprint.get("/<mac:mac>/journal")
@blueprint.response(200, JournalEnvelope, description="What was written to the miner, newest first; at most 200")
@blueprint.alt(404, "Device not found")
def device_journal(mac: str) -> dict[str, Any]:
    entries = runtime().system_settings.journal(mac)
    return {"message": "Journal retrieved successfully", "data": entries}


@blueprint.post("/<mac:mac>/journal/<entry_id>/revert")
@blueprint.arguments(RevertSchema, required=False)
@blueprint.response(200, ChangedEnvelope, description="What the entry changed is put back: a write like any other")
@blueprint.alt(400, "Something cannot be put back like this, and nothing was written; or the miner took none of it")
@blueprint.alt(404, "Device or journal entry not found")
@blueprint.alt(409, _OTHER_MINER)
@blueprint.alt(429, "It is busy with another command")
@blueprint.alt(502, _FAILED)
@blueprint.alt(504, _LATE)
def revert_entry(body: dict[str, Any], mac: str, entry_id: str) -> dict[str, Any]:
    applied = runtime().system_settings.revert(mac, entry_id, SystemRequest(**body), Origin(actor()))
    return changed_on_the_wire("Change reverted successfully", applied)
