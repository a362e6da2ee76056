"""`jobs`: list, show, follow and control jobs."""

from __future__ import annotations

import click

from app.cli.api_client import ApiClient, quote_path
from app.cli.command_options import api_command, yes_option
from app.cli.device_rows import fetch_rows
from app.cli.formatting import format_clock_time
from app.cli.job_following import describe_counts, follow_job, get_job, report_job, show_job
from app.cli.output import Output

# Command → the request, and what it means. Only `resume` and `revert` write to miners.
_REQUESTS = {
    "cancel": ("DELETE", "", "Cancel the job; devices in progress are finished."),
    "pause": ("POST", "/pause", "Start no further device until --resume."),
    "resume": ("POST", "/resume", "Continue a paused job."),
    "revert": ("POST", "/revert", "Write back what a job that is over changed, as a new job."),
}
_ASKING = frozenset({"resume", "revert"})


@click.command("jobs")
@click.argument("job_id", required=False)
@click.option("--follow", "-f", is_flag=True, help="Wait until the job is over.")
@click.option("--cancel", "request", flag_value="cancel", help=_REQUESTS["cancel"][2])
@click.option("--pause", "request", flag_value="pause", help=_REQUESTS["pause"][2])
@click.option("--resume", "request", flag_value="resume", help=_REQUESTS["resume"][2])
@click.option("--revert", "request", flag_value="revert", help=_REQUESTS["revert"][2])
@yes_option
@api_command
def jobs_command(api: ApiClient, out: Output, job_id: str | None, follow: bool, request: str | None, yes: bool) -> None:
    """List, show, follow or control jobs."""
    if job_id is None:
        if follow or request:
            raise click.UsageError("Name the job; `pluto jobs` lists them.")
        _list_jobs(api, out)
        return
    if request:
        method, end, meaning = _REQUESTS[request]
        if request in _ASKING:
            out.confirm_change(f"{meaning} Continue?", yes)
        job_id = api.send(method, f"/jobs/{quote_path(job_id)}{end}")["data"]["id"]
    titles = {row["mac"]: row["title"] for row in fetch_rows(api, fields="title")}
    if follow:
        report_job(out, follow_job(api, out, job_id), titles)
    else:
        show_job(out, get_job(api, job_id), titles)


def _list_jobs(api: ApiClient, out: Output) -> None:
    jobs = api.get("/jobs")["data"]
    if out.as_json:
        out.print_json(jobs)
    elif not jobs:
        out.print_note("There is no job; `pluto apply`, `set` and `restart` on several devices start one.")
    else:
        out.print_table(
            ("JOB", "ACTION", "STATE", "DEVICES", "STARTED", "BY"),
            [
                (
                    job["id"],
                    job["action"],
                    f"{job['state']} (paused)" if job.get("paused") else job["state"],
                    describe_counts(job),
                    format_clock_time(job["createdAt"]),
                    job["actor"],
                )
                for job in jobs
            ],
        )
