"""/devices: registered (imprinted) miners, and which of them are monitored."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Response

from app.blueprints.base import JSON, Blueprint, current_runtime, device_answer, tagged_answer
from app.schemas.device import (
    DeviceEnvelope,
    DevicePatchSchema,
    DevicesEnvelope,
    ImprintOneSchema,
    ImprintSchema,
    ListenSchema,
    SearchSchema,
)
from app.schemas.device_row import RowQuerySchema, RowsEnvelope, format_cursor, serialise_row
from app.services.devices.service import DeviceEdit

blueprint = Blueprint("devices", __name__, url_prefix="/devices", description="Registered (imprinted) miners")

IMPRINTED = "Devices imprint successful"


@blueprint.get("")
@blueprint.arguments(RowQuerySchema, location="query")
@blueprint.response(200, RowsEnvelope, description="One page of rows")
@blueprint.document_error(400, "A parameter is invalid")
def list_rows(asked: dict[str, Any]) -> Response:
    """List devices as rows

    What a table shows of each device, filtered, sorted and in pages, in a third of the bytes of `GET /devices/imprint`.
    """
    page = current_runtime().rows.query_rows(asked["query"])
    body = {
        "message": "Devices retrieved successfully",
        "data": [serialise_row(row, asked["keys"]) for row in page.rows],
        "total": page.total,
        "counts": page.counts,
        "nextCursor": format_cursor(page.last),
    }
    return Response(orjson.dumps(body), mimetype=JSON)


@blueprint.put("/imprint")
@blueprint.arguments(ImprintSchema)
@blueprint.response(200, DevicesEnvelope, description="The registered devices")
@blueprint.document_error(404, "None of them was found")
def imprint_devices(body: dict[str, Any]) -> Response:
    """Register miners

    Registers miners that were discovered (`macs`), or miners by hand with MAC and address (`devices`), also while
    they are switched off. It only adds devices.
    """
    by_hand = [(device["mac"], device["ip"]) for device in body["devices"]]
    return device_answer(IMPRINTED, current_runtime().devices.register_devices(body["macs"], by_hand))


@blueprint.patch("/imprint")
@blueprint.arguments(ImprintOneSchema)
@blueprint.response(200, DevicesEnvelope, description="All registered devices")
@blueprint.document_error(404, "It was not found")
def imprint_device(body: dict[str, Any]) -> Response:
    """Register one miner

    Registers one discovered miner and returns all registered devices, as the Node backend does.
    """
    current_runtime().devices.register_devices([body["mac"]])
    return device_answer(IMPRINTED, current_runtime().devices.search_devices())


@blueprint.get("/imprint")
@blueprint.arguments(SearchSchema, location="query")
@blueprint.response(200, DevicesEnvelope, description="Newest first")
@blueprint.alt_response(304, description="Nothing changed since the answer with the ETag in If-None-Match")
def list_devices(query: dict[str, Any]) -> Response:
    """List whole devices

    Every registered device with the whole answer of its firmware. `GET /devices` is smaller.
    """
    return tagged_answer("Devices retrieved successfully", current_runtime().devices.search_devices(query["q"]))


@blueprint.get("/imprint/<mac:mac>")
@blueprint.response(200, DeviceEnvelope)
@blueprint.document_error(404, "Device not found")
def get_device(mac: str) -> Response:
    """Read a device

    One registered device with the whole answer of its firmware, not older than a few seconds.
    """
    return device_answer("Device retrieved successfully", current_runtime().devices.get_device(mac))


@blueprint.patch("/imprint/<mac:mac>")
@blueprint.arguments(DevicePatchSchema)
@blueprint.response(200, DeviceEnvelope)
@blueprint.document_error(404, "Device not found")
def patch_device(body: dict[str, Any], mac: str) -> Response:
    """Edit a device

    Changes the record in this service: name, notes, tags, preset, type, address. Nothing is sent to the miner, and
    readings in `info` are ignored.
    """
    fields = dict(body["device"])
    info = fields.pop("info", {})
    return device_answer(
        "Device updated successfully", current_runtime().devices.edit_device(mac, DeviceEdit(fields, info))
    )


@blueprint.delete("/imprint/<mac:mac>")
@blueprint.response(200, DeviceEnvelope, description="The device as it was")
@blueprint.document_error(404, "Device not found")
def delete_device(mac: str) -> Response:
    """Delete a device

    Ends the registration and the polling. The miner itself is not changed.
    """
    return device_answer("Device deleted successfully", current_runtime().devices.delete_device(mac))


@blueprint.get("/presets/<preset_uuid>")
@blueprint.response(200, DevicesEnvelope, description="Empty for an unknown preset")
def devices_by_preset(preset_uuid: str) -> Response:
    """List the devices of a preset

    The registered devices that a preset was applied to.
    """
    return device_answer(
        "Devices by preset retrieved successfully", current_runtime().devices.find_by_preset(preset_uuid)
    )


@blueprint.put("/listen")
@blueprint.arguments(ListenSchema)
@blueprint.response(200, DevicesEnvelope, description="The monitored devices")
def listen(body: dict[str, Any]) -> Response:
    """Choose the monitored devices

    Monitors exactly these devices until the next start of the service, and switches the streaming of their logs on
    or off.
    """
    devices = current_runtime().devices.monitor_only(body["macs"])
    if "traceLogs" in body:
        current_runtime().log_hub.set_tracing(devices, body["traceLogs"])
    return device_answer("Devices listeners set successfully", devices)
