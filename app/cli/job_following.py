"""Following a job until it is over, with its progress."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

from app.cli.api_client import ApiClient, quote_path
from app.cli.exit_codes import CommandFailed, ExitCode
from app.cli.formatting import clean_text, format_clock_time
from app.cli.output import Output

JOB_POLL_SECONDS = 0.5
OVER_STATES = frozenset({"done", "stopped", "cancelled", "interrupted"})
ENDED_STATES = frozenset({"done", "unchanged", "failed", "reverted", "skipped"})
SUCCESS_STATES = frozenset({"done", "unchanged"})
Job = dict[str, Any]


def plan_job(api: ApiClient, request: dict[str, Any]) -> Job:
    """Return what the job would do."""
    return dict(api.send("POST", "/jobs", {**request, "dryRun": True})["data"])


def start_job(api: ApiClient, request: dict[str, Any]) -> Job:
    return dict(api.send("POST", "/jobs", request, headers={"Idempotency-Key": str(uuid4())})["data"])


def get_job(api: ApiClient, job_id: str) -> Job:
    return dict(api.get(f"/jobs/{quote_path(job_id)}")["data"])


def follow_job(api: ApiClient, out: Output, job_id: str) -> Job:
    """Return the job when it is over. At Ctrl-C the command ends; the job continues."""
    job = get_job(api, job_id)
    try:
        with out.create_progress() as progress:
            task = progress.add_task(clean_text(job["action"]), total=len(job["devices"]))
            while job["state"] not in OVER_STATES:
                time.sleep(JOB_POLL_SECONDS)
                job = get_job(api, job_id)
                progress.update(task, completed=count_ended(job), description=describe_progress(job))
    except KeyboardInterrupt:
        out.print_note(f"\nThe job continues in the service: pluto jobs {job_id} --follow, or --cancel.")
        raise
    return job


def show_job(out: Output, job: Job, titles: dict[str, str]) -> None:
    if out.as_json:
        out.print_json(job)
    else:
        print_job(out, job, titles)


def report_job(out: Output, job: Job, titles: dict[str, str]) -> None:
    """Print a job. Raises: CommandFailed if it is over and failed for a device."""
    show_job(out, job, titles)
    if job["state"] in OVER_STATES and not is_success(job):
        raise CommandFailed(ExitCode.FAILED_IN_PART, f"Job {job['id']} is {job['state']}: {describe_counts(job)}")


def print_job(out: Output, job: Job, titles: dict[str, str]) -> None:
    state = f"{job['state']} (paused)" if job.get("paused") else job["state"]
    out.print_text(f"Job {job['id']}: {job['action']}, {state}, started {format_clock_time(job['createdAt'])}", "bold")
    if job.get("reason"):
        out.print_text(clean_text(job["reason"]), "red")
    is_plan = job["state"] == "planned"
    rows = [
        (find_title(step, titles), step["wave"], step["state"], describe_step(step, is_plan)) for step in job["devices"]
    ]
    out.print_table(("DEVICE", ">WAVE", "STATE", ""), rows)


def is_success(job: Job) -> bool:
    return job["state"] == "done" and all(step["state"] in SUCCESS_STATES for step in job["devices"])


def count_ended(job: Job) -> int:
    return sum(step["state"] in ENDED_STATES for step in job["devices"])


def describe_progress(job: Job) -> str:
    """Return the action, and the reason for which the first unfinished device waits."""
    waiting = next((step["waitingFor"] for step in job["devices"] if step.get("waitingFor")), "")
    return clean_text(f"{job['action']}: {waiting or describe_counts(job)}")


def describe_counts(job: Job) -> str:
    return ", ".join(f"{count} {state}" for state, count in job["counts"].items() if count)


def describe_step(step: dict[str, Any], is_plan: bool) -> str:
    """Return the changes of one device, the reason of its state, and what it waits for."""
    parts = [format_change(each["key"], each.get("before"), each.get("after")) for each in step["changes"]]
    return clean_text(
        "; ".join(filter(None, [*parts, step.get("reason"), None if is_plan else step.get("waitingFor")]))
    )


def format_change(key: str, before: object, after: object) -> str:
    """Return `frequency: 525 → 550`. A password is null on both sides."""
    if before is None and after is None:
        return f"{key}: (not shown)"
    return f"{key}: {'(unknown)' if before is None else before} → {after}"


def find_title(step: dict[str, Any], titles: dict[str, str]) -> str:
    return clean_text(step.get("title") or titles.get(step["mac"]) or step["mac"])
