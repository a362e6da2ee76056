"""What each device of a job waits for."""

from datetime import UTC, datetime

import pytest

from app.models import Reading
from app.services.jobs.model import Action, CapturedState, Job, JobRequest, JobState, Step, StepState
from app.services.jobs.waiting import WatchWindow, describe_waiting

WATCH = WatchWindow(datetime(2026, 1, 1, 2, 14, 5, tzinfo=UTC), datetime(2026, 1, 1, 2, 16, 35, tzinfo=UTC))
ACTED = Step("a", 0, StepState.ACTED, captured=CapturedState(hashrate=1530.0))


def make_job(*steps, action=Action.SETTINGS, state=JobState.RUNNING, **fields):
    return Job("id", JobRequest(action), "me", "c", "u", {step.mac: step for step in steps}, state, **fields)


def make_reading(**info):
    return Reading({"ASICModel": "BM1370", "version": "v2.12", **info}, "a", datetime(2026, 1, 1, tzinfo=UTC))


def describe(step, *others, watch=None, reading=None, **fields):
    return describe_waiting(make_job(step, *others, **fields), step, watch, reading)


@pytest.mark.parametrize(
    ("state", "fields", "sentence"),
    [
        (StepState.PLANNED, {}, "Waits for a free place: the job changes 4 devices at a time."),
        (StepState.PLANNED, {"paused": True}, "Waits because the job is paused."),
        (StepState.PLANNED, {"cancelling": True}, "Will be skipped: the job is cancelled."),
        (StepState.PLANNED, {"state": JobState.PLANNED}, "Waits for the start of the job."),
        (StepState.ACTING, {"paused": True}, "Is being changed."),
        (StepState.WRITTEN, {"paused": True}, "Waits for its restart: the restarts of all jobs are limited."),
        (StepState.WRITTEN, {"paused": True, "action": Action.RESTART}, "Waits because the job is paused."),
        (StepState.RESTARTING, {}, "Is being restarted."),
        (StepState.REVERTING, {}, "Its former settings are being restored."),
        (StepState.ACTED, {}, "Waits for the end of its wave."),
        (StepState.DONE, {}, None),
        (StepState.PLANNED, {"state": JobState.CANCELLED}, None),
    ],
)
def test_sentence_of_each_state(state, fields, sentence):
    assert describe(Step("a", 0, state), **fields) == sentence


@pytest.mark.parametrize("state", StepState)
def test_every_state_that_has_not_ended_has_a_sentence(state):
    sentence = describe(Step("a", 0, state))
    assert sentence is None or sentence.endswith(".")


def test_device_of_a_later_wave_waits_for_it():
    later = Step("b", 1)
    assert describe(later, Step("a", 0, StepState.ACTED), Step("c", 2)) == "Waits for wave 2 of 3."
    assert describe(later, Step("a", 0, StepState.DONE)).startswith("Waits for a free place")


def test_health_check_says_what_is_missing():
    low = make_reading(hashRate=812.4)
    assert describe(ACTED, watch=WATCH, reading=low) == (
        "Health check until 02:16:35Z: hashrate 812 of at least 1,071 GH/s."
    )
    assert describe(ACTED, watch=WATCH) == "Health check until 02:16:35Z: no answer yet."
    well = make_reading(hashRate=1400)
    assert describe(ACTED, watch=WATCH, reading=well) == "Health check until 02:14:05Z: healthy so far."
