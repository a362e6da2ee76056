"""Jobs as records on disk. A job that is over is stored without passwords. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from app.miners.setting_table import SETTINGS
from app.services.jobs.model import Action, CapturedState, Job, JobRequest, JobState, Step, StepState

# More than any request can have: each is a list in memory.
MOST_WAVES = 1000
_NUMBER = int | float
_JOB_KINDS: Mapping[str, Any] = {
    **dict.fromkeys(("actor", "createdAt", "updatedAt"), str),
    **dict.fromkeys(("reason", "key", "fingerprint"), str | None),
    "preset": dict | None,
    "request": dict,
    "cancelling": bool,
}
_REQUEST_KINDS: Mapping[str, Any] = {
    **dict.fromkeys(("allow_overclock", "restart", "revert"), bool),
    **dict.fromkeys(("parallel", "max_failures"), int),
    "values": dict,
    "preset_uuid": str | None,
    "waves": list,
    "pause_seconds": _NUMBER,
}
_STEP_KINDS: Mapping[str, Any] = {
    **dict.fromkeys(("mac", "at"), str),
    **dict.fromkeys(("failed", "restarted"), bool),
    "wave": int,
    "reason": str | None,
    "changes": list,
    "captured": dict | None,
}
_CAPTURED_KINDS: Mapping[str, Any] = {
    **dict.fromkeys(("preset_uuid", "preset_updated_at", "record_preset"), str | None),
    **dict.fromkeys(("hashrate", "power"), _NUMBER),
    "settings": dict,
    "intended": list,
}


def _require_kinds(record: Mapping[str, Any], kinds: Mapping[str, Any]) -> None:
    if not all(isinstance(record[name], kind) for name, kind in kinds.items()):
        raise TypeError


def without_secrets(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings without secret ones. `workerTemplate` and unknown keys stay."""
    return {key: value for key, value in values.items() if not (key in SETTINGS and SETTINGS[key].secret)}


def has_secrets(job: Job) -> bool:
    configuration = (job.preset or {}).get("configuration") or {}
    return any(len(without_secrets(values)) < len(values) for values in (job.request.values, configuration))


def forget_secrets(job: Job) -> None:
    """Remove the passwords of a job that is over, in memory and thereby on disk."""
    job.request = replace(job.request, values=without_secrets(job.request.values))
    if job.preset is not None:
        job.preset = {**job.preset, "configuration": without_secrets(job.preset.get("configuration") or {})}


def job_to_record(job: Job) -> dict[str, Any]:
    """Return the job's head; its steps are stored one by one, so that a step's progress is a small write."""
    return {
        "id": job.id,
        "request": {**asdict(job.request), "waves": list(job.request.waves)},
        "actor": job.actor,
        "createdAt": job.created_at,
        "updatedAt": job.updated_at,
        "state": job.state,
        "reason": job.reason,
        "preset": job.preset,
        "key": job.key,
        "fingerprint": job.fingerprint,
        "cancelling": job.cancelling,
        "tick": job.tick,
        "paused": job.paused,
        "revertOf": job.revert_of,
    }


def job_from_record(record: Mapping[str, Any], steps: Mapping[str, Step]) -> Job:
    """Raises KeyError, TypeError or ValueError for a record that this version did not write."""
    _require_kinds(record, _JOB_KINDS)
    _require_kinds(record["request"], _REQUEST_KINDS)
    if record["request"]["parallel"] < 1:
        raise ValueError
    request = dict(record["request"])
    request |= {"action": Action(request["action"]), "waves": tuple(request["waves"])}
    return Job(
        id=record["id"],
        request=JobRequest(**request),
        actor=record["actor"],
        created_at=record["createdAt"],
        updated_at=record["updatedAt"],
        steps=dict(steps),
        state=JobState(record["state"]),
        reason=record["reason"],
        preset=record["preset"],
        key=record["key"],
        fingerprint=record["fingerprint"],
        cancelling=record["cancelling"],
        tick=record.get("tick", ""),
        paused=record.get("paused") is True,
        revert_of=_parse_revert_of(record),
    )


def _parse_revert_of(record: Mapping[str, Any]) -> str | None:
    """Return the id of the reverted job; raise ValueError for a revert without one."""
    value = record.get("revertOf")
    if (record["request"]["action"] == Action.REVERT) != isinstance(value, str):
        raise ValueError
    return value


def step_to_record(step: Step) -> dict[str, Any]:
    return asdict(step)


def step_from_record(record: Mapping[str, Any]) -> Step:
    """Raises KeyError, TypeError or ValueError for a record that this version did not write."""
    _require_kinds(record, _STEP_KINDS)
    if not 0 <= record["wave"] < MOST_WAVES or not all(change["key"] in SETTINGS for change in record["changes"]):
        raise ValueError
    captured = record["captured"]
    if captured is not None:
        _require_kinds(captured, _CAPTURED_KINDS)
        captured = CapturedState(**{**captured, "intended": tuple(captured["intended"])})
    return Step(
        **{
            **record,
            "state": StepState(record["state"]),
            "changes": tuple(record["changes"]),
            "captured": captured,
        }
    )
