"""/devices/<mac>/drift: what to do about a device that does not run what it should."""

from __future__ import annotations

from typing import Any

from flask import Response

from app.blueprints.base import Blueprint, actor, answer, runtime
from app.schemas.device import DeviceEnvelope
from app.schemas.job import JobEnvelope, RepairSchema, job_on_the_wire

blueprint = Blueprint("drift", __name__, url_prefix="/devices", description="Miners that somebody else changed")


@blueprint.post("/<mac:mac>/drift/accept")
@blueprint.response(200, DeviceEnvelope, description="What it runs is now what it should run")
@blueprint.alt(400, "It runs what it should")
@blueprint.alt(404, "Device not found")
def accept_drift(mac: str) -> Response:
    return answer("Drift accepted successfully", runtime().repair.accept(mac))


@blueprint.post("/<mac:mac>/drift/repair")
@blueprint.arguments(RepairSchema, required=False)
@blueprint.response(202, JobEnvelope, description="The job that makes it run what it should")
@blueprint.alt(400, "It runs what it should")
@blueprint.alt(404, "Device not found")
@blueprint.alt(409, "It is in another job that is not over")
def repair_drift(body: dict[str, Any], mac: str) -> dict[str, Any]:
    job = runtime().repair.repair(mac, actor(), restart=body["restart"])
    return {"message": "Repair started successfully", "data": job_on_the_wire(job)}
