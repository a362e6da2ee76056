"""What a device in a job waits for, as a sentence. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from app.miners.setting_table import SETTINGS
from app.miners.telemetry import read_telemetry
from app.models import Reading
from app.services.jobs.health_check import MinerHealth, check_health, required_hashrate
from app.services.jobs.model import ENDED_STATES, Action, Job, JobState, Step, StepState

PAUSED = "Waits because the job is paused."


@dataclass(frozen=True, slots=True)
class WatchWindow:
    """The health check of the present wave: a device is watched at least until `pause_end`, and fails at `timeout` if
    it is not healthy then."""

    pause_end: datetime
    timeout: datetime


def describe_waiting(job: Job, step: Step, watch: WatchWindow | None, reading: Reading | None) -> str | None:
    """Return what the device waits for; None if it has ended, or the job has. `reading`: the device's last one, None
    if it does not answer."""
    if job.is_over or step.state in ENDED_STATES:
        return None
    if step.state is StepState.ACTED:
        return _describe_check(step, watch, reading)
    return _SENTENCES[step.state](job, step)


def _describe_planned(job: Job, step: Step) -> str:
    if job.cancelling:
        return "Will be skipped: the job is cancelled."
    if job.paused:
        return PAUSED
    if job.state is JobState.PLANNED:
        return "Waits for the start of the job."
    if step.wave > _find_present_wave(job):
        return f"Waits for wave {step.wave + 1} of {len(job.steps_by_wave())}."
    return f"Waits for a free place: the job changes {job.request.parallel} devices at a time."


def _find_present_wave(job: Job) -> int:
    """Return the first wave with a device that has not ended."""
    return min((step.wave for step in job.steps.values() if step.state not in ENDED_STATES), default=0)


def _describe_due_restart(job: Job, step: Step) -> str:
    if job.request.action is Action.RESTART and job.paused:
        return PAUSED
    return "Waits for its restart: the restarts of all jobs are limited."


_SENTENCES: Mapping[StepState, Callable[[Job, Step], str]] = {
    StepState.PLANNED: _describe_planned,
    StepState.ACTING: lambda job, step: "Is being changed.",
    StepState.WRITTEN: _describe_due_restart,
    StepState.RESTARTING: lambda job, step: "Is being restarted.",
    StepState.REVERTING: lambda job, step: "Its former settings are being restored.",
}


def _describe_check(step: Step, watch: WatchWindow | None, reading: Reading | None) -> str:
    if watch is None:
        return "Waits for the end of its wave."
    wanted = {change["key"]: change["after"] for change in step.changes if not SETTINGS[change["key"]].secret}
    if reading is None or step.captured is None:
        return f"Health check until {_format_time(watch.timeout)}: no answer yet."
    if check_health(step.captured, wanted, reading.info)[0] is MinerHealth.WELL:
        return f"Health check until {_format_time(watch.pause_end)}: healthy so far."
    rate, least = read_telemetry(reading.info).get("hashrate_ghs", 0.0), required_hashrate(step.captured, wanted)
    return f"Health check until {_format_time(watch.timeout)}: hashrate {rate:,.0f} of at least {least:,.0f} GH/s."


def _format_time(moment: datetime) -> str:
    return f"{moment:%H:%M:%S}Z"
