"""Schemas of jobs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate

from app.miners.mac import canonical_mac
from app.schemas.base import BaseSchema, Fields, Mac, StrictBoolean, envelope
from app.services.jobs.model import (
    PARALLEL,
    PAUSE_SECONDS,
    SHOWN_STATES,
    WAVES,
    Action,
    Job,
    JobRequest,
    JobState,
    Step,
    shown_state,
)
from app.services.jobs.records import without_secrets
from app.services.jobs.service import JobDeviceView

MOST_WAVES, MOST_PARALLEL, MOST_PAUSE_SECONDS = 20, 32, 3600
_FILTERS = ("model", "firmware", "preset", "tag")
_WAVE = re.compile(r"[1-9]\d?%|100%")
_DEVICES = '"all", a list of MACs, or a filter {model?, firmware?, preset?, tag?} of which each part must match'


class Number(fields.Field[float]):
    """A JSON number within bounds; integers only with `whole`. Text and booleans are rejected."""

    def __init__(self, low: float, high: float, *, whole: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._low, self._high, self._whole = low, high, whole

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        kinds = (int,) if self._whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not self._low <= value <= self._high:
            raise ValidationError(f"Must be a number from {self._low:g} to {self._high:g}.")
        return value


class Devices(fields.Field[Any]):
    """The selection of a job's devices."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if value == "all":
            return value
        if isinstance(value, list) and value and all(map(canonical_mac, value)):
            return list(map(canonical_mac, value))
        if isinstance(value, dict) and value and all(_is_filter(*item) for item in value.items()):
            return value
        raise ValidationError(f"Must be {_DEVICES}.")


def _is_filter(name: object, text: object) -> bool:
    return name in _FILTERS and isinstance(text, str) and 0 < len(text) <= 128


class Wave(fields.Field[Any]):
    """A number of devices, or a percentage of the job such as `10%`."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 100_000:
            return value
        if isinstance(value, str) and _WAVE.fullmatch(value):
            return value
        raise ValidationError("Must be a number of devices, or a percentage such as 10%.")


class JobOptionsSchema(BaseSchema):
    """The options of every job."""

    allowOverclock = StrictBoolean(load_default=False, attribute="allow_overclock")
    restart = StrictBoolean(
        load_default=False, metadata={"description": "Restart each device that needs it for the change"}
    )
    waves = fields.List(
        Wave(),
        load_default=list(WAVES),
        validate=validate.Length(max=MOST_WAVES),
        metadata={"description": "Sizes, the canary's first; the rest is the last wave. Empty: one wave"},
    )
    parallel = Number(1, MOST_PARALLEL, whole=True, load_default=PARALLEL)
    pauseSeconds = Number(
        0,
        MOST_PAUSE_SECONDS,
        load_default=PAUSE_SECONDS,
        attribute="pause_seconds",
        metadata={"description": "Minimum time between a wave and the next one, with health checks"},
    )
    maxFailures = Number(
        0,
        100_000,
        whole=True,
        load_default=0,
        attribute="max_failures",
        metadata={"description": "The job stops after a wave if more devices than this have failed"},
    )
    revert = StrictBoolean(
        load_default=False,
        metadata={"description": "Revert devices that failed and, if the job stops, the canary"},
    )
    dryRun = StrictBoolean(
        load_default=False, metadata={"description": "Return the plan only; nothing is stored or written"}
    )


# A revert is started by POST /jobs/:id/revert.
_STARTABLE = tuple(action.value for action in Action if action is not Action.REVERT)


class JobRequestSchema(JobOptionsSchema):
    action = fields.String(required=True, validate=validate.OneOf(_STARTABLE))
    devices = Devices(required=True, metadata={"description": _DEVICES})
    presetUuid = fields.String(load_default=None, allow_none=True, validate=validate.Length(max=64))
    settings = Fields(keys=fields.String(validate=validate.Length(max=64)), load_default=dict)

    @post_load
    def _request(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return {"devices": data.pop("devices"), "dry_run": data.pop("dryRun"), "request": build_job_request(data)}


def _is_mac(text: str) -> bool:
    return canonical_mac(text) is not None


class PresetApplySchema(JobOptionsSchema):
    macs = fields.List(Mac(validate=_is_mac), required=True, validate=validate.Length(min=1))

    @post_load
    def _request(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        macs, dry_run = data.pop("macs"), data.pop("dryRun")
        return {"devices": macs, "dry_run": dry_run, "pace": data}


class RepairSchema(BaseSchema):
    restart = StrictBoolean(load_default=False, metadata={"description": "Restart the device if a change needs it"})


def build_job_request(data: Mapping[str, Any]) -> JobRequest:
    given = dict(data)
    values, preset = given.pop("settings", {}), given.pop("presetUuid", None)
    given |= {"action": Action(given["action"]), "waves": tuple(given["waves"])}
    return JobRequest(**given, values=values, preset_uuid=preset)


class JobDeviceSchema(BaseSchema):
    mac = fields.String(required=True)
    title = fields.String(
        required=True, metadata={"description": "The device's name, else hostname, else address; the MAC if deleted"}
    )
    waitingFor = fields.String(metadata={"description": "A sentence, while the device has not ended"})
    wave = fields.Integer(required=True, metadata={"description": "From 0, the canary's"})
    state = fields.String(
        required=True,
        validate=validate.OneOf(SHOWN_STATES),
    )
    changes = fields.List(
        fields.Dict(), required=True, metadata={"description": "[{key, before, after}]; null for passwords"}
    )
    reason = fields.String()
    at = fields.String(metadata={"description": "Time of the last state change"})


class JobHeadSchema(BaseSchema):
    id = fields.String(required=True)
    action = fields.Enum(Action, by_value=True, required=True)
    state = fields.Enum(JobState, by_value=True, required=True)
    revertOf = fields.String(metadata={"description": "The id of the job whose changes this one reverts"})
    reason = fields.String(metadata={"description": "Why it was stopped or interrupted"})
    counts = fields.Dict(
        keys=fields.String(), values=fields.Integer(), required=True, metadata={"description": "Devices by state"}
    )
    actor = fields.String(required=True)
    createdAt = fields.String(required=True)
    updatedAt = fields.String(required=True)
    cancelling = fields.Boolean(required=True, metadata={"description": "The devices in progress are being finished"})
    paused = fields.Boolean(
        required=True, metadata={"description": "No further device begins until the job is resumed"}
    )
    request = fields.Dict(required=True, metadata={"description": "The request, without passwords"})


class JobSchema(JobHeadSchema):
    devices = fields.List(
        fields.Nested(JobDeviceSchema), required=True, metadata={"description": "In the order of the waves"}
    )


JobEnvelope = envelope(fields.Nested(JobSchema), "JobAnswer")
JobsEnvelope = envelope(fields.List(fields.Nested(JobHeadSchema)), "JobsAnswer")


def serialise_job(job: Job, views: Mapping[str, JobDeviceView]) -> dict[str, Any]:
    return {
        **serialise_job_head(job),
        "devices": [_serialise_step(step, views[step.mac]) for wave in job.steps_by_wave() for step in wave],
    }


def serialise_job_head(job: Job) -> dict[str, Any]:
    reason = {} if job.reason is None else {"reason": job.reason}
    return {
        "id": job.id,
        "action": job.request.action,
        **({} if job.revert_of is None else {"revertOf": job.revert_of}),
        "state": job.state,
        **reason,
        "counts": job.counts,
        "actor": job.actor,
        "createdAt": job.created_at,
        "updatedAt": job.updated_at,
        "cancelling": job.cancelling and not job.is_over,
        "paused": job.paused and not job.is_over,
        "request": _serialise_request(job.request),
    }


def _serialise_request(request: JobRequest) -> dict[str, Any]:
    """Serialise a request under the API's names."""
    given = asdict(request)
    words = {
        "values": "settings",
        "preset_uuid": "presetUuid",
        "allow_overclock": "allowOverclock",
        "pause_seconds": "pauseSeconds",
        "max_failures": "maxFailures",
    }
    named = {words.get(key, key): value for key, value in given.items() if key != "action"}
    return {**named, "settings": without_secrets(request.values), "waves": list(request.waves)}


def _serialise_step(step: Step, view: JobDeviceView) -> dict[str, Any]:
    reason = {} if step.reason is None else {"reason": step.reason}
    waiting = {} if view.waiting_for is None else {"waitingFor": view.waiting_for}
    return {
        "mac": step.mac,
        "title": view.title,
        "wave": step.wave,
        "state": shown_state(step.state),
        "changes": [dict(change) for change in step.changes],
        **reason,
        **waiting,
        "at": step.at,
    }
