"""/devices/<mac>/drift: accept or repair the drift of a device."""

from __future__ import annotations

from typing import Any

from flask import Response

from app.blueprints.base import Blueprint, current_actor, current_runtime, device_answer
from app.schemas.device import DeviceEnvelope
from app.schemas.job import JobEnvelope, RepairSchema, serialise_job

blueprint = Blueprint(
    "drift", __name__, url_prefix="/devices", description="Miners whose settings differ from the desired state"
)


@blueprint.post("/<mac:mac>/drift/accept")
@blueprint.response(200, DeviceEnvelope, description="The actual settings are the desired state now")
@blueprint.document_error(400, "The device has no drift")
@blueprint.document_error(404, "Device not found")
def accept_drift(mac: str) -> Response:
    """Accept the drift of a device

    Makes the present settings of the miner its desired ones. Nothing is sent to the miner.
    """
    return device_answer("Drift accepted successfully", current_runtime().drift_repair.accept_drift(mac))


@blueprint.post("/<mac:mac>/drift/repair")
@blueprint.arguments(RepairSchema, required=False)
@blueprint.response(202, JobEnvelope, description="The job that restores the desired state")
@blueprint.document_error(400, "The device has no drift")
@blueprint.document_error(404, "Device not found")
@blueprint.document_error(409, "The device is in another unfinished job")
def repair_drift(body: dict[str, Any], mac: str) -> dict[str, Any]:
    """Repair the drift of a device

    Starts a job that writes the desired settings again.
    """
    job = current_runtime().drift_repair.repair_drift(mac, current_actor(), restart=body["restart"])
    return {
        "message": "Repair started successfully",
        "data": serialise_job(job, current_runtime().jobs.describe_devices(job)),
    }
