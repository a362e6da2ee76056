"""`history`: sparklines of recorded metrics, of a device, a tag or the fleet."""

from __future__ import annotations

from typing import Any

import click

from app.cli.api_client import ApiClient
from app.cli.command_options import DEVICE, api_command
from app.cli.device_rows import choose_device
from app.cli.formatting import (
    clean_text,
    draw_sparkline,
    find_metric_unit,
    format_duration,
    format_number,
    format_time,
    summarise_values,
)
from app.cli.output import Output

DEVICE_METRICS = "hashrate_ghs,power_watts,efficiency,temperature_celsius"
FLEET_METRICS = "hashrate_ghs,power_watts"
POINTS = 48
# Numbers below this have two digits after the point.
SMALL = 100.0


@click.command("history")
@click.argument("device", required=False, type=DEVICE)
@click.option("--tag", help="The sum over the devices with this tag.")
@click.option("--metric", "-m", "metrics", multiple=True, help="May be repeated; a wrong one lists all names.")
@click.option("--from", "start", default="-24h", show_default=True, help="-90m, -24h, -7d, or an ISO 8601 time.")
@click.option("--to", "stop", default="now", show_default=True)
@click.option("--points", type=click.IntRange(1, 500), default=POINTS, show_default=True, help="Bars at most.")
@api_command
def history_command(
    api: ApiClient,
    out: Output,
    device: str | None,
    tag: str | None,
    metrics: tuple[str, ...],
    start: str,
    stop: str,
    points: int,
) -> None:
    """Show the history as sparklines.

    It is that of DEVICE, of a tag, or without either of the fleet.
    """
    if device and tag:
        raise click.UsageError("Name a device or a tag, not both.")
    path, usual = "/history", FLEET_METRICS
    title = f"tag {tag}" if tag else "fleet"
    if device:
        row = choose_device(api, device)
        path, usual, title = f"/devices/{row['mac']}/history", DEVICE_METRICS, clean_text(row["title"])
    names = ",".join(metrics) or usual
    data = api.get(path, tag=tag, metrics=names, points=points, **{"from": start, "to": stop})["data"]
    if out.as_json:
        out.print_json(data)
        return
    if not data["times"]:
        out.print_note("Nothing was recorded in this time.")
        return
    end = data["times"][-1] + data["step"]
    step = format_duration(data["step"])
    out.print_text(f"{title}: {format_time(data['times'][0])} to {format_time(end)}, {step} per bar", "bold")
    rows = [_format_metric(name, statistics) for name, statistics in data["metrics"].items()]
    out.print_table(("METRIC", "", ">MIN", ">MEAN", ">MAX", "UNIT"), rows)
    if simulated := data.get("simulated"):
        out.print_text(f"Simulated: {format_time(simulated['from'])} to {format_time(simulated['to'])}")


def _format_metric(name: str, statistics: dict[str, Any]) -> tuple[str, ...]:
    """Return the cells of one metric. Statuses and counters have other statistics than a mean: the first is drawn."""
    drawn = "mean" if "mean" in statistics else next(iter(statistics))
    label = name if drawn == "mean" else f"{name} ({drawn})"
    summary = summarise_values(statistics)
    digits = 2 if summary and max(map(abs, summary)) < SMALL else 0
    numbers = [format_number(value, digits=digits) for value in summary or (None, None, None)]
    return label, draw_sparkline(statistics[drawn]), *numbers, find_metric_unit(name)
