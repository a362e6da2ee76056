"""A job as it is kept on disk, with and, once it is over, without its passwords. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from app.miners.settings import SETTINGS
from app.services.jobs.model import Action, Captured, Job, JobState, Request, Step, StepState


def without_secrets(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings less those that are secret. `workerTemplate` and the like stay."""
    return {key: value for key, value in values.items() if not (key in SETTINGS and SETTINGS[key].secret)}


def has_secrets(job: Job) -> bool:
    configuration = (job.preset or {}).get("configuration") or {}
    return any(len(without_secrets(values)) < len(values) for values in (job.request.values, configuration))


def forget_secrets(job: Job) -> None:
    """A job that is over holds no password, in memory or on disk."""
    job.request = replace(job.request, values=without_secrets(job.request.values))
    if job.preset is not None:
        job.preset = {**job.preset, "configuration": without_secrets(job.preset.get("configuration") or {})}


def to_record(job: Job) -> dict[str, Any]:
    """The job's head; its steps are kept one by one, so that a step's progress is a small write."""
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
    }


def from_record(record: Mapping[str, Any], steps: Mapping[str, Step]) -> Job:
    """Raises KeyError, TypeError or ValueError for a record that this version did not write."""
    request = dict(record["request"])
    request |= {"action": Action(request["action"]), "waves": tuple(request["waves"])}
    return Job(
        id=record["id"],
        request=Request(**request),
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
    )


def step_to_record(step: Step) -> dict[str, Any]:
    return asdict(step)


def step_from_record(record: Mapping[str, Any]) -> Step:
    captured = record["captured"]
    if captured is not None:
        captured = Captured(**{**captured, "intended": tuple(captured["intended"])})
    return Step(
        **{
            **record,
            "state": StepState(record["state"]),
            "changes": tuple(record["changes"]),
            "captured": captured,
        }
    )
