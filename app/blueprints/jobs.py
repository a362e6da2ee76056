"""/jobs: one change for many miners; and the shortcut to apply a preset."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
from flask import request

from app.blueprints.base import Blueprint, current_actor, current_runtime
from app.errors import Invalid
from app.schemas.job import (
    JobEnvelope,
    JobRequestSchema,
    JobsEnvelope,
    PresetApplySchema,
    build_job_request,
    serialise_job,
    serialise_job_head,
)
from app.services.jobs.model import Action, Job, JobRequest
from app.services.jobs.plan import Selector

blueprint = Blueprint("jobs", __name__, description="One change for many miners")

Answer = tuple[dict[str, Any], int]
MOST_KEY = 255
_BUSY = "A device is in another unfinished job"
_REUSED = "The Idempotency-Key was used for another request"


@blueprint.post("/jobs")
@blueprint.arguments(JobRequestSchema)
@blueprint.response(202, JobEnvelope, description="The started job; the same job for the same Idempotency-Key")
@blueprint.alt_response(200, schema=JobEnvelope, description="dryRun: the plan")
@blueprint.document_error(400, "The request is invalid; nothing was written")
@blueprint.document_error(404, "Preset not found")
@blueprint.document_error(409, _BUSY)
@blueprint.document_error(422, _REUSED)
def start_job(body: dict[str, Any]) -> Answer:
    """Start a job

    One action for many miners in waves: a canary first, then the others, each with a health check. With `dryRun`
    the plan is returned and nothing is stored or sent. Send an `Idempotency-Key` to be able to repeat the request
    safely.
    """
    return _start_or_plan(body["request"], body["devices"], dry_run=body["dry_run"])


@blueprint.post("/presets/<preset_uuid>/apply")
@blueprint.arguments(PresetApplySchema)
@blueprint.response(202, JobEnvelope, description="The started job")
@blueprint.alt_response(200, schema=JobEnvelope, description="dryRun: the plan")
@blueprint.document_error(400, "The request is invalid; nothing was written")
@blueprint.document_error(404, "Preset not found")
@blueprint.document_error(409, _BUSY)
@blueprint.document_error(422, _REUSED)
def apply_preset(body: dict[str, Any], preset_uuid: str) -> Answer:
    """Apply a preset

    Shortcut for a job with the action `apply-preset`.
    """
    asked = build_job_request({"action": Action.APPLY_PRESET, "presetUuid": preset_uuid, **body["pace"]})
    return _start_or_plan(asked, body["devices"], dry_run=body["dry_run"])


@blueprint.get("/jobs")
@blueprint.response(200, JobsEnvelope, description="Newest first, without devices; at most 100 that are over")
def list_jobs() -> dict[str, Any]:
    """List jobs

    All unfinished jobs and the latest 100 that are over, without their devices.
    """
    jobs = list(map(serialise_job_head, current_runtime().jobs.all_jobs()))
    return {"message": "Jobs retrieved successfully", "data": jobs}


@blueprint.get("/jobs/<job_id>")
@blueprint.response(200, JobEnvelope)
@blueprint.document_error(404, "Job not found")
def get_job(job_id: str) -> dict[str, Any]:
    """Read a job

    The job with the state of each device, and what it waits for.
    """
    return _job_answer("Job retrieved successfully", current_runtime().jobs.get_job(job_id))


@blueprint.delete("/jobs/<job_id>")
@blueprint.response(200, JobEnvelope, description="Devices in progress are finished, the others are skipped")
@blueprint.document_error(404, "Job not found")
def cancel_job(job_id: str) -> dict[str, Any]:
    """Cancel a job

    Devices in progress are finished; the others are skipped. What was changed stays.
    """
    job = current_runtime().jobs.get_job(job_id)
    message = "Job was over already" if job.is_over else "Job cancelled successfully"
    return _job_answer(message, current_runtime().jobs.cancel_job(job_id))


@blueprint.post("/jobs/<job_id>/pause")
@blueprint.response(200, JobEnvelope, description="The job; also if it was paused already")
@blueprint.document_error(404, "Job not found")
@blueprint.document_error(409, "The job is over")
def pause_job(job_id: str) -> dict[str, Any]:
    """Pause a job

    No further device begins. Devices in progress are finished: they are restarted if their change needs it, their
    health is checked, and they are reverted if the job says so. The job stays paused over a restart of the service.
    """
    return _job_answer("Job paused successfully", current_runtime().jobs.pause_job(job_id))


@blueprint.post("/jobs/<job_id>/resume")
@blueprint.response(200, JobEnvelope, description="The job; also if it was not paused")
@blueprint.document_error(404, "Job not found")
@blueprint.document_error(409, "The job is over")
def resume_job(job_id: str) -> dict[str, Any]:
    """Resume a paused job

    The job goes on with the next device of its present wave.
    """
    return _job_answer("Job resumed successfully", current_runtime().jobs.resume_job(job_id))


@blueprint.post("/jobs/<job_id>/revert")
@blueprint.response(202, JobEnvelope, description="The started job, with `revertOf`")
@blueprint.document_error(400, "No device can be reverted; `details` has the reason of each")
@blueprint.document_error(404, "Job not found")
@blueprint.document_error(409, "The job is not over or changed no setting, or a device is in another unfinished job")
def revert_job(job_id: str) -> Answer:
    """Revert a job

    Starts a job that writes the values back that the journal has from before the job: with a canary, in the waves of
    the reverted job, and with the same checks. A device whose settings were changed since, by this service or
    elsewhere, is left alone, and its `reason` says why. A former password is restored only if it is that of the
    device's former preset; otherwise the present one stays.
    """
    return _job_answer("Job started successfully", current_runtime().jobs.revert_job(job_id, current_actor())), 202


def _start_or_plan(asked: JobRequest, devices: Selector, *, dry_run: bool) -> Answer:
    jobs = current_runtime().jobs
    if dry_run:
        return _job_answer("This is what the job would do", jobs.plan_job(asked, devices, current_actor())), 200
    key = _idempotency_key()
    return _job_answer(
        "Job started successfully",
        jobs.create_job(asked, devices, current_actor(), key, _request_fingerprint(key) if key else None),
    ), 202


def _idempotency_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= MOST_KEY and key.isprintable()):
        raise Invalid("The Idempotency-Key is of no use", {"Idempotency-Key": [f"Must be 1 to {MOST_KEY} characters."]})
    return key


def _request_fingerprint(key: str) -> str:
    """Return a hash of path and body, independent of the order of members. It is stored longer than the job and the
    body may have a password, so a slow hash is used."""
    body = orjson.dumps(orjson.loads(request.get_data()), option=orjson.OPT_SORT_KEYS)
    reported = request.path.rstrip("/").encode() + b"\n" + body
    return hashlib.scrypt(reported, salt=key.encode(), n=2**13, r=8, p=1).hex()


def _job_answer(message: str, job: Job) -> dict[str, Any]:
    return {"message": message, "data": serialise_job(job, current_runtime().jobs.describe_devices(job))}
