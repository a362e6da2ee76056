"""`watch`: a live table of the devices, problems first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from app.cli.api_client import ApiClient
from app.cli.command_options import api_command
from app.cli.device_rows import Row, fetch_rows, sort_by_urgency
from app.cli.fleet_commands import build_fleet_table, format_problem, summarise_rows
from app.cli.formatting import format_time
from app.cli.live_events import CONNECTED, DISCONNECTED, LiveEvents
from app.cli.output import Output

# Lines of the screen beside rows and problems: head, empty line, columns, the note about hidden rows.
OTHER_LINES = 5
MOST_PROBLEMS = 5
ATTENTION = "attention"


@dataclass(slots=True)
class FleetView:
    """The rows that are shown. `lost_at`: since when the service is unreachable and they are old; None if it is not."""

    rows: dict[str, Row] = field(default_factory=dict)
    lost_at: float | None = None


@click.command("watch")
@click.option("--count", type=click.IntRange(1), help="End after this number of updates.")
@click.option("--tag", help="Only devices with this tag.")
@click.option("--state", help="Statuses such as online,offline, or `attention`.")
@api_command
def watch_command(api: ApiClient, out: Output, count: int | None, tag: str | None, state: str | None) -> None:
    """Show a live table of the devices.

    It ends at Ctrl-C. With --json: one JSON object {at, devices} per update.
    """
    states = set(state.split(",")) if state else set()
    is_screen = out.stdout.is_terminal and not out.as_json
    with suppress(KeyboardInterrupt), Live(console=out.stdout, auto_refresh=False, screen=is_screen) as live:
        for number, view in enumerate(iterate_views(api), 1):
            rows = sort_by_urgency(row for row in view.rows.values() if is_wanted(row, tag, states))
            if not out.as_json:
                live.update(build_screen(rows, view.lost_at, out.stdout.width, out.stdout.height), refresh=True)
            elif view.lost_at is None:
                out.print_json_line({"at": datetime.now(UTC).isoformat(), "devices": rows})
            if number == count:
                return


def iterate_views(api: ApiClient) -> Iterator[FleetView]:
    """Yield the fleet after each change, also when the connection ends; after a reconnect with all rows anew."""
    view = FleetView()
    with LiveEvents(api, ["fleet_update"]) as live:
        for kind, payload in live.iterate_events():
            if kind == CONNECTED:
                live.call("subscribeFleet", {})
                view.rows, view.lost_at = {row["mac"]: row for row in fetch_rows(api)}, None
            elif kind == DISCONNECTED:
                view.lost_at = time.time()
            else:
                view.rows.update({row["mac"]: row for row in payload["devices"]})
                for mac in payload["removed"]:
                    view.rows.pop(mac, None)
            yield view


def is_wanted(row: Row, tag: str | None, states: set[str]) -> bool:
    """Return True if a row matches the filters, which are those of GET /devices."""
    has_tag = tag is None or tag in row.get("tags", ())
    return has_tag and (not states or row["status"] in states or (ATTENTION in states and bool(row.get("problems"))))


def build_screen(rows: list[Row], lost_at: float | None, width: int, height: int) -> Group:
    """Return the head, the most urgent problems, and as many rows as the screen has space for."""
    problems = [format_problem(row, problem) for row in rows for problem in row.get("problems", ())]
    urgent = [Text(text, "yellow") for text in problems[:MOST_PROBLEMS]]
    space = max(height - OTHER_LINES - len(urgent), 1)
    parts: list[Text] = []
    if lost_at is not None:
        parts.append(Text(f"No connection to the service since {format_time(lost_at)}; reconnecting.", "red"))
    parts += [Text(f"{summarise_rows(rows)}    {format_time(time.time())}", "bold"), *urgent, Text("")]
    hidden = len(rows) - space
    foot = [Text(f"… {hidden} more", "dim")] if hidden > 0 else []
    return Group(*parts, build_fleet_table(rows[:space], width), *foot)
