"""Job records: a round trip loses nothing, and a finished job contains no password."""

import orjson
import pytest

from app.services.jobs.model import Action, CapturedState, Job, JobRequest, JobState, Step, StepState
from app.services.jobs.records import (
    forget_secrets,
    has_secrets,
    job_from_record,
    job_to_record,
    step_from_record,
    step_to_record,
)

PRESET = {
    "uuid": "u",
    "name": "n",
    "updatedAt": "t",
    "configuration": {"stratumURL": "pool", "stratumPassword": "hush"},
}


def make_job(**fields):
    steps = {
        "a": Step("a", 1, StepState.REVERTING, "why", ({"key": "frequency", "before": 1, "after": 2},), "t",
                  CapturedState({"frequency": 1}, 900.0, 18.0, ("frequency",), "p", "t", "p"), True, True),
        "b": Step("b"),
    }  # fmt: skip
    values = {"frequency": 2, "stratumPassword": "quiet"}
    return Job("id", JobRequest(Action.SETTINGS, values, waves=(1, "10%")), "me", "c", "u", steps, **fields)


def test_job_survives_record_round_trip():
    job = make_job(state=JobState.RUNNING, reason="r", preset=PRESET, key="k", fingerprint="f", cancelling=True)
    head = orjson.loads(orjson.dumps(job_to_record(job)))
    steps = {mac: step_from_record(orjson.loads(orjson.dumps(step_to_record(step)))) for mac, step in job.steps.items()}
    assert job_from_record(head, steps) == job


def test_paused_revert_survives_record_round_trip():
    job = make_job(state=JobState.RUNNING, paused=True, revert_of="other")
    job.request = JobRequest(Action.REVERT, waves=(1,))
    assert job_from_record(orjson.loads(orjson.dumps(job_to_record(job))), job.steps) == job
    with pytest.raises(ValueError):
        job_from_record({**job_to_record(job), "revertOf": None}, job.steps)


def test_record_of_earlier_version_is_neither_paused_nor_a_revert():
    record = job_to_record(make_job(state=JobState.RUNNING))
    del record["paused"], record["revertOf"]
    job = job_from_record(record, {})
    assert (job.paused, job.revert_of) == (False, None)


@pytest.mark.parametrize("damage", [{}, {"state": "dancing"}, {"request": {"action": "explode", "waves": []}}])
def test_record_of_other_version_is_rejected(damage):
    record = {**job_to_record(make_job()), **damage} if damage else {}
    with pytest.raises((KeyError, TypeError, ValueError)):
        job_from_record(record, {})


def test_finished_job_contains_no_passwords():
    job = make_job(preset=PRESET)
    assert has_secrets(job)
    forget_secrets(job)
    assert not has_secrets(job)
    assert b"hush" not in orjson.dumps(job_to_record(job))
    assert b"quiet" not in orjson.dumps(job_to_record(job))
    assert job.preset["configuration"] == {"stratumURL": "pool"}
    assert job.request.values == {"frequency": 2}
