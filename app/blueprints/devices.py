"""/devices: imprinted miners, and which of them are monitored."""

from __future__ import annotations

from typing import Any

from flask import Response

from app.blueprints.base import Blueprint, answer, runtime, tagged
from app.schemas.device import (
    DeviceEnvelope,
    DevicePatchSchema,
    DevicesEnvelope,
    ImprintOneSchema,
    ImprintSchema,
    ListenSchema,
    SearchSchema,
)
from app.services.devices.service import Edit

blueprint = Blueprint("devices", __name__, url_prefix="/devices", description="Imprinted miners")

IMPRINTED = "Devices imprint successful"


@blueprint.put("/imprint")
@blueprint.arguments(ImprintSchema)
@blueprint.response(200, DevicesEnvelope, description="The devices that were imprinted")
@blueprint.alt(404, "None of them was found")
def imprint_devices(body: dict[str, Any]) -> Response:
    by_hand = [(device["mac"], device["ip"]) for device in body["devices"]]
    return answer(IMPRINTED, runtime().devices.imprint(body["macs"], by_hand))


@blueprint.patch("/imprint")
@blueprint.arguments(ImprintOneSchema)
@blueprint.response(200, DevicesEnvelope, description="All imprinted devices")
@blueprint.alt(404, "It was not found")
def imprint_device(body: dict[str, Any]) -> Response:
    runtime().devices.imprint([body["mac"]])
    return answer(IMPRINTED, runtime().devices.search())


@blueprint.get("/imprint")
@blueprint.arguments(SearchSchema, location="query")
@blueprint.response(200, DevicesEnvelope, description="Newest first")
@blueprint.alt_response(304, description="Nothing changed since the answer with the ETag in If-None-Match")
def list_devices(query: dict[str, Any]) -> Response:
    return tagged("Devices retrieved successfully", runtime().devices.search(query["q"]))


@blueprint.get("/imprint/<mac:mac>")
@blueprint.response(200, DeviceEnvelope)
@blueprint.alt(404, "Device not found")
def get_device(mac: str) -> Response:
    return answer("Device retrieved successfully", runtime().devices.get(mac))


@blueprint.patch("/imprint/<mac:mac>")
@blueprint.arguments(DevicePatchSchema)
@blueprint.response(200, DeviceEnvelope)
@blueprint.alt(404, "Device not found")
def patch_device(body: dict[str, Any], mac: str) -> Response:
    fields = dict(body["device"])
    info = fields.pop("info", {})
    return answer("Device updated successfully", runtime().devices.edit(mac, Edit(fields, info)))


@blueprint.delete("/imprint/<mac:mac>")
@blueprint.response(200, DeviceEnvelope, description="The device as it was")
@blueprint.alt(404, "Device not found")
def delete_device(mac: str) -> Response:
    return answer("Device deleted successfully", runtime().devices.delete(mac))


@blueprint.get("/presets/<preset_uuid>")
@blueprint.response(200, DevicesEnvelope, description="Empty for an unknown preset")
def devices_by_preset(preset_uuid: str) -> Response:
    return answer("Devices by preset retrieved successfully", runtime().devices.by_preset(preset_uuid))


@blueprint.put("/listen")
@blueprint.arguments(ListenSchema)
@blueprint.response(200, DevicesEnvelope, description="The devices that are monitored now")
def listen(body: dict[str, Any]) -> Response:
    devices = runtime().devices.listen(body["macs"])
    if "traceLogs" in body:
        runtime().log_hub.trace(devices, body["traceLogs"])
    return answer("Devices listeners set successfully", devices)
