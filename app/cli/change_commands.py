"""`set`, `restart` and `apply`: changes of miners. On several devices they are jobs, with a canary and waves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from app.cli.api_client import ApiClient, quote_path
from app.cli.command_options import DEVICE, api_command, selection_options, yes_option
from app.cli.device_rows import Row, choose_devices
from app.cli.exit_codes import CommandFailed, ExitCode
from app.cli.formatting import clean_text
from app.cli.job_following import (
    describe_counts,
    find_title,
    follow_job,
    format_change,
    plan_job,
    print_job,
    report_job,
    start_job,
)
from app.cli.output import Output, check_confirmation

READ_SECRET = "-"
SUCCESSFUL_WRITES = frozenset({"applied", "pending_restart", "unchanged"})
_BOOLEANS = {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False, "no": False, "0": False}
Field = dict[str, Any]


def job_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a change: a restart, and for several devices the pace."""
    for option in (
        click.option("--no-wait", is_flag=True, help="Do not wait for the job."),
        click.option("--at-once", is_flag=True, help="Several devices: no canary, no waves and no pauses."),
        click.option("--revert-failed", is_flag=True, help="Several devices: revert those that failed."),
        yes_option,
        selection_options,
    ):
        function = option(function)
    return function


@click.command("set")
@click.argument("arguments", nargs=-1, required=True, type=DEVICE, metavar="[DEVICE]... KEY=VALUE...")
@click.option("--list", "listing", is_flag=True, help="List the settings of the (first) device instead.")
@click.option("--restart", is_flag=True, help="Restart the miner if a change needs it.")
@click.option("--allow-overclock", is_flag=True, help="Go beyond the vendor's options, where the miner is unlocked.")
@job_options
@api_command
def set_command(
    api: ApiClient,
    out: Output,
    arguments: Sequence[str],
    listing: bool,
    restart: bool,
    allow_overclock: bool,
    **options: Any,
) -> None:
    """Change settings of devices.

    Shows what will change before it asks. KEY=- reads the value without showing it, for passwords.
    """
    names = [text for text in arguments if "=" not in text]
    given = dict(text.split("=", 1) for text in arguments if "=" in text)
    if not given and not listing:
        raise click.UsageError("Name a setting, KEY=VALUE, or add --list.")
    rows = _choose_targets(api, names, {**options, "yes": options["yes"] or listing})
    fields = api.get(f"/devices/{rows[0]['mac']}/settings")["data"]
    if listing:
        _list_settings(out, fields)
        return
    asked = [(find_field(fields, key), text) for key, text in given.items()]
    values = {field["key"]: _parse_value(field, text) for field, text in asked}
    flags = {"restart": restart, "allowOverclock": allow_overclock}
    if len(rows) == 1:
        _set_one(api, out, rows[0], fields, values, flags, yes=options["yes"])
    else:
        _run_as_job(api, out, rows, {"action": "settings", "settings": values, **flags}, options)


@click.command("restart")
@click.argument("devices", nargs=-1, type=DEVICE)
@job_options
@api_command
def restart_command(api: ApiClient, out: Output, devices: Sequence[str], **options: Any) -> None:
    """Restart devices. A miner does not hash for about a minute."""
    rows = _choose_targets(api, devices, options)
    if len(rows) > 1:
        _run_as_job(api, out, rows, {"action": "restart"}, options)
        return
    title = rows[0]["title"]
    out.confirm_change(f"Restart {title} ({rows[0]['mac']})? It does not hash for about a minute.", options["yes"])
    answer = api.send("POST", f"/devices/{rows[0]['mac']}/system/restart")
    if out.as_json:
        out.print_json(answer)
    else:
        out.print_text(f"{clean_text(title)}: {clean_text(answer['message'])}")


@click.command("apply")
@click.argument("preset")
@click.argument("devices", nargs=-1, type=DEVICE)
@click.option("--restart", is_flag=True, help="Restart each device that needs it for the change.")
@click.option("--allow-overclock", is_flag=True, help="Go beyond the vendor's options, where the miner is unlocked.")
@job_options
@api_command
def apply_command(
    api: ApiClient,
    out: Output,
    preset: str,
    devices: Sequence[str],
    restart: bool,
    allow_overclock: bool,
    **options: Any,
) -> None:
    """Apply a preset to devices.

    PRESET is a name or a UUID. This is a job, also for one device.
    """
    uuid = _find_preset(api, preset)
    rows = _choose_targets(api, devices, options)
    request = {"action": "apply-preset", "presetUuid": uuid, "restart": restart, "allowOverclock": allow_overclock}
    _run_as_job(api, out, rows, request, options)


def _choose_targets(api: ApiClient, names: Sequence[str], options: dict[str, Any]) -> list[Row]:
    """Return the devices to change, before anything is shown or sent."""
    if not (names or options["every"] or options["tag"]):
        raise click.UsageError("Name a device, or add --tag or --all.")
    check_confirmation(options["yes"])
    rows = choose_devices(api, names, options["tag"], options["every"])
    if not rows:
        raise CommandFailed(ExitCode.NOT_FOUND, "No device is registered.")
    return rows


def _find_preset(api: ApiClient, text: str) -> str:
    presets = api.get("/presets")["data"]
    found = [each for each in presets if each["uuid"] == text] or [
        each for each in presets if str(each.get("name", "")).lower() == text.lower()
    ]
    if len(found) == 1:
        return str(found[0]["uuid"])
    if found:
        candidates = "\n".join(f"  {each['uuid']}  {each['name']}" for each in found)
        raise CommandFailed(ExitCode.NOT_FOUND, f"{text!r} names {len(found)} presets; use a UUID:\n{candidates}")
    names = ", ".join(sorted(str(each.get("name")) for each in presets)) or "none"
    raise CommandFailed(ExitCode.NOT_FOUND, f"There is no preset {text!r}; there are: {names}.")


def find_field(fields: Sequence[Field], key: str) -> Field:
    """Return the setting with this key; upper and lower case are equal if no key matches exactly."""
    found = [field for field in fields if field["key"] == key] or [
        field for field in fields if field["key"].lower() == key.lower()
    ]
    if not found:
        keys = ", ".join(field["key"] for field in fields)
        raise CommandFailed(ExitCode.NOT_FOUND, f"This device has no setting {key!r}; it has: {keys}.")
    return found[0]


def _parse_value(field: Field, text: str) -> Any:
    """Return a setting's value in the type of its field. The service checks its limits."""
    if field["type"] == "secret" and text != READ_SECRET:
        raise click.UsageError(f"{field['key']} is a secret: use {field['key']}={READ_SECRET}, which asks for it.")
    if text == READ_SECRET:
        text = _read_secret(field["key"])
    if field["type"] == "boolean":
        if text.lower() not in _BOOLEANS:
            raise click.UsageError(f"{field['key']} needs true or false, not {text!r}.")
        return _BOOLEANS[text.lower()]
    if field["type"] in ("integer", "number", "choice"):
        number = _parse_number(text)
        if number is None and field["type"] != "choice":
            raise click.UsageError(f"{field['key']} needs a number, not {text!r}.")
        return text if number is None else number
    return text


def _parse_number(text: str) -> int | float | None:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return None


def _read_secret(key: str) -> str:
    if sys.stdin.isatty():
        return str(click.prompt(f"{key}", hide_input=True, err=True))
    return sys.stdin.readline().rstrip("\n")


def _list_settings(out: Output, fields: Sequence[Field]) -> None:
    if out.as_json:
        out.print_json(fields)
        return
    rows = [
        (
            field["key"],
            f"{field.get('value', '')} {field.get('unit', '')}".strip() if field["type"] != "secret" else "(not shown)",
            describe_limits(field),
            "yes" if field["needsRestart"] else "",
            field["label"],
        )
        for field in fields
    ]
    out.print_table(("KEY", "VALUE", "ALLOWED", "RESTART", "MEANING"), rows)


def describe_limits(field: Field) -> str:
    """Return the values that a setting may have."""
    if field.get("options"):
        return ", ".join(str(each) for each in field["options"])
    if "min" in field and "max" in field:
        return f"{field['min']:g} to {field['max']:g}"
    return "true, false" if field["type"] == "boolean" else ""


def _set_one(
    api: ApiClient,
    out: Output,
    row: Row,
    fields: Sequence[Field],
    values: dict[str, Any],
    flags: dict[str, bool],
    *,
    yes: bool,
) -> None:
    if not out.as_json or not yes:
        out.print_note(f"{row['title']} ({row['mac']}):")
        for key, value in values.items():
            field = find_field(fields, key)
            change = (
                f"{key}: (a new value)"
                if field["type"] == "secret"
                else format_change(key, field.get("value"), value) + (f" {field['unit']}" if field.get("unit") else "")
            )
            needs = ", needs a restart" if field["needsRestart"] else ""
            same = ", unchanged" if field.get("value") == value and field["type"] != "secret" else ""
            out.print_note(f"  {change}{same or needs}")
    out.confirm_change(f"Write to {row['title']}?", yes)
    answer = api.send("PATCH", f"/devices/{row['mac']}/system", {"info": values, **flags})
    changes = answer["changes"]
    if out.as_json:
        out.print_json({"mac": row["mac"], "changes": changes, "restarted": answer["restarted"]})
    else:
        results = [(each["key"], each["status"], _describe_result(each)) for each in changes]
        out.print_table(("KEY", "RESULT", ""), results)
        if answer["restarted"]:
            out.print_text("The miner was restarted.")
        elif any(each["status"] == "pending_restart" for each in changes):
            out.print_text(f"Restart the miner for the rest: pluto restart {row['mac']}")
    if failed := [each["key"] for each in changes if each["status"] not in SUCCESSFUL_WRITES]:
        raise CommandFailed(ExitCode.FAILED_IN_PART, f"Not written: {', '.join(failed)}")


def _describe_result(change: dict[str, Any]) -> str:
    if change.get("reason"):
        return str(change["reason"])
    return "" if change["actual"] is None else f"is {change['actual']} now"


def _run_as_job(api: ApiClient, out: Output, rows: Sequence[Row], request: dict[str, Any], options: Any) -> None:
    """Show the plan, ask, start the job and follow it."""
    titles = {row["mac"]: row["title"] for row in rows}
    pace = {"waves": [], "pauseSeconds": 0, "parallel": 32} if options["at_once"] else {}
    request = {**request, **pace, "devices": list(titles), "revert": options["revert_failed"]}
    plan = plan_job(api, request)
    if not out.as_json:
        print_job(out, plan, titles)
    skipped = [find_title(step, titles) for step in plan["devices"] if step["state"] == "skipped"]
    note = f" {len(skipped)} of them will be skipped." if skipped else ""
    out.confirm_change(f"Start this job on {len(rows)} devices?{note}", options["yes"])
    job = start_job(api, request)
    if options["no_wait"]:
        out.print_note(f"Started ({describe_counts(job)}): pluto jobs {quote_path(job['id'])} --follow")
    else:
        job = follow_job(api, out, job["id"])
    report_job(out, job, titles)
