"""`devices` and `show`: the registered devices, and one of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click
from rich.table import Table

from app.cli.api_client import ApiClient
from app.cli.command_options import DEVICE, api_command
from app.cli.device_rows import Row, choose_device, fetch_rows, sort_by_urgency
from app.cli.formatting import (
    NO_VALUE,
    clean_text,
    format_clock_time,
    format_difficulty,
    format_duration,
    format_hashrate,
    format_number,
    format_time,
    parse_time,
)
from app.cli.output import Output, build_table, fit_columns

FLEET_COLUMNS = (
    "DEVICE", "STATUS", ">HASHRATE", ">OF EXPECTED", ">POWER", ">J/TH", ">ASIC", ">VR", ">FAN", ">REJECTS", "POOL",
    ">UPTIME", "FIRMWARE",
)  # fmt: skip
# Dropped in this order where the terminal is too narrow.
OPTIONAL_COLUMNS = ("FIRMWARE", ">VR", "POOL", ">UPTIME", ">FAN", ">REJECTS", ">J/TH", ">OF EXPECTED", ">ASIC")
_SHOWN = (
    ("Note", "statusDetail", clean_text),
    ("Address", "ip", clean_text),
    ("MAC", "mac", clean_text),
    ("Hostname", "hostname", clean_text),
    ("Model", "model", clean_text),
    ("Firmware", "firmware", clean_text),
    ("Version", "version", clean_text),
    ("Tags", "tags", lambda tags: clean_text(", ".join(tags))),
    ("Hashrate", "hashrateGhs", format_hashrate),
    ("Expected", "expectedHashrateGhs", format_hashrate),
    ("Of expected", "hashratePercent", lambda value: format_number(value, "%", 1)),
    ("Power", "powerWatts", lambda value: format_number(value, "W", 1)),
    ("Efficiency", "joulesPerTerahash", lambda value: format_number(value, "J/TH", 1)),
    ("ASIC temperature", "temperatureCelsius", lambda value: format_number(value, "°C", 1)),
    ("VR temperature", "vrTemperatureCelsius", lambda value: format_number(value, "°C", 1)),
    ("Fan", "fanRpm", lambda value: format_number(value, "rpm")),
    ("Shares accepted", "sharesAccepted", format_number),
    ("Shares rejected", "sharesRejected", format_number),
    ("Rejects in 1 h", "rejectPercent1h", lambda value: format_number(value, "%", 2)),
    ("Pool", "pool", clean_text),
    ("Best difficulty", "bestDifficulty", format_difficulty),
    ("Best of session", "bestSessionDifficulty", format_difficulty),
    ("Wi-Fi", "rssiDbm", lambda value: format_number(value, "dBm")),
    ("Uptime", "uptimeSeconds", format_duration),
    ("Drift", "driftKeys", lambda keys: clean_text(", ".join(keys))),
    ("Last answer", "lastSeen", format_time),
    ("Registered", "createdAt", format_time),
)


@click.command("devices")
@click.option("--state", help="Statuses such as online,offline, or `attention`.")
@click.option("--tag", help="Only devices with this tag.")
@click.option("--model", help="Only devices of this model.")
@click.option("--firmware", help="Only devices with this firmware or version.")
@click.option("-q", "--search", "q", help="Part of address, hostname, name or MAC.")
@click.option("--sort", help="A key of the JSON rows; `-` before it for descending. Default: problems first.")
@api_command
def devices_command(api: ApiClient, out: Output, sort: str | None, **filters: str | None) -> None:
    """List the registered devices, problems first."""
    rows = fetch_rows(api, sort=sort, **filters)
    if sort is None:
        rows = sort_by_urgency(rows)
    if out.as_json:
        out.print_json(rows)
        return
    if not rows:
        is_filtered = any(value is not None for value in filters.values())
        out.print_note("No device matches." if is_filtered else "No device is registered; `pluto discover` finds some.")
        return
    out.stdout.print(build_fleet_table(rows, out.stdout.width))
    problems = [format_problem(row, problem) for row in rows for problem in row.get("problems", ())]
    for text in ("", *problems) if problems else ():
        out.print_text(text)
    out.print_text(f"\n{summarise_rows(rows)}")


@click.command("show")
@click.argument("device", type=DEVICE)
@api_command
def show_command(api: ApiClient, out: Output, device: str) -> None:
    """Show one device.

    With --json: the whole device as the API has it.
    """
    mac = choose_device(api, device)["mac"]
    if out.as_json:
        out.print_json(api.get(f"/devices/imprint/{mac}")["data"])
        return
    row = next(each for each in fetch_rows(api, q=mac) if each["mac"] == mac)
    out.print_text(f"{clean_text(row['title'])}: {row['status']}", "bold")
    for problem in row.get("problems", ()):
        out.print_text(format_problem(row, problem), "red" if problem["severity"] == "error" else "yellow")
    shown = [(label, show(row[key])) for label, key, show in _SHOWN if row.get(key) not in (None, [], "")]
    out.print_table(("", ""), shown)


def build_fleet_table(rows: list[Row], width: int) -> Table:
    return build_table(*fit_columns(FLEET_COLUMNS, list(map(format_row, rows)), OPTIONAL_COLUMNS, width))


def format_row(row: Row) -> tuple[str, ...]:
    """Return the cells of one device, for FLEET_COLUMNS."""
    return (
        clean_text(row["title"]),
        row["status"],
        format_hashrate(row.get("hashrateGhs")),
        format_number(row.get("hashratePercent"), "%"),
        format_number(row.get("powerWatts"), "W", 1),
        format_number(row.get("joulesPerTerahash"), "", 1),
        format_number(row.get("temperatureCelsius"), "°C"),
        format_number(row.get("vrTemperatureCelsius"), "°C"),
        format_number(row.get("fanRpm"), "rpm"),
        format_number(row.get("rejectPercent1h"), "%", 2),
        clean_text(row.get("pool", NO_VALUE)),
        format_duration(row.get("uptimeSeconds")),
        clean_text(row.get("version", NO_VALUE)),
    )


def format_problem(row: Row, problem: dict[str, Any]) -> str:
    """Return one sentence about a problem: the cause, since when, and the service's next step."""
    since = f" Since {format_clock_time(problem['since'])}." if problem.get("since") else ""
    return clean_text(f"{row['title']}: {problem['message']}{since}{_format_next(problem)}")


def _format_next(problem: dict[str, Any]) -> str:
    """Return ` Next attempt in 20 s.`; a `next` without a time is a whole sentence."""
    if not problem.get("next"):
        return ""
    at = parse_time(problem.get("nextAt"))
    if at is None:
        return f" {problem['next'].rstrip('.')}."
    return f" {problem['next']} {format_duration(max((at - datetime.now(UTC)).total_seconds(), 0))}."


def summarise_rows(rows: list[Row]) -> str:
    online = sum(row["status"] == "online" for row in rows)
    hashrate = sum(row.get("hashrateGhs") or 0 for row in rows)
    power = sum(row.get("powerWatts") or 0 for row in rows)
    with_problems = sum(bool(row.get("problems")) for row in rows)
    attention = f", {with_problems} need{'s' if with_problems == 1 else ''} attention" if with_problems else ""
    noun = "device" if len(rows) == 1 else "devices"
    return f"{len(rows)} {noun}, {online} online{attention}, {format_hashrate(hashrate)}, {power:,.0f} W"
