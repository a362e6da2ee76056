"""`watch`: a live table of the devices, problems first."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from app.cli.api_client import ApiClient
from app.cli.command_options import api_command
from app.cli.device_rows import Row, fetch_rows, sort_by_urgency
from app.cli.exit_codes import CommandFailed, ExitCode
from app.cli.fleet_commands import FLEET_COLUMNS, format_problem, format_row, summarise_rows
from app.cli.formatting import clean_text, format_time
from app.cli.output import Output, build_table

# Lines of the screen beside the rows: head, columns, summary, the note about hidden rows.
OTHER_LINES = 6
MOST_PROBLEMS = 5


@click.command("watch")
@click.option("--interval", type=click.FloatRange(0.5, 3600), default=2.0, show_default=True, help="Seconds.")
@click.option("--count", type=click.IntRange(1), help="End after this number of updates.")
@click.option("--tag", help="Only devices with this tag.")
@click.option("--state", help="Statuses such as online,offline, or `attention`.")
@api_command
def watch_command(
    api: ApiClient, out: Output, interval: float, count: int | None, tag: str | None, state: str | None
) -> None:
    """Show a live table of the devices until Ctrl-C. With --json: one JSON object {at, devices} per update."""
    filters = {"tag": tag, "state": state}
    rows, failure, updates = fetch_rows(api, **filters), "", 0
    is_screen = out.stdout.is_terminal and not out.as_json
    with suppress(KeyboardInterrupt), Live(console=out.stdout, auto_refresh=False, screen=is_screen) as live:
        while True:
            updates += 1
            if out.as_json:
                out.print_json_line({"at": datetime.now(UTC).isoformat(), "devices": sort_by_urgency(rows)})
            else:
                live.update(_build_screen(rows, failure, out.stdout.height), refresh=True)
            if updates == count:
                return
            time.sleep(interval)
            rows, failure = _refresh_rows(api, filters, rows, out)


def _refresh_rows(
    api: ApiClient, filters: dict[str, str | None], rows: list[Row], out: Output
) -> tuple[list[Row], str]:
    """Return the new rows, or while the service is unreachable the old ones and a sentence."""
    try:
        return fetch_rows(api, **filters), ""
    except CommandFailed as error:
        if error.exit_code not in (ExitCode.UNREACHABLE, ExitCode.SERVICE_FAILED) or out.as_json:
            raise
        return rows, error.message


def _build_screen(rows: list[Row], failure: str, height: int) -> Group:
    ordered = sort_by_urgency(rows)
    problems = [format_problem(row, problem) for row in ordered for problem in row.get("problems", ())]
    shown_problems = problems[:MOST_PROBLEMS]
    space = max(height - OTHER_LINES - len(shown_problems), 1)
    parts: list[Text] = [Text(clean_text(f"Old data: {failure}"), "red")] if failure else []
    head = Text(f"{summarise_rows(rows)}    {format_time(time.time())}", "bold")
    hidden = len(ordered) - space
    foot = [Text(f"… {hidden} more devices without urgent problems", "dim")] if hidden > 0 else []
    table = build_table(FLEET_COLUMNS, map(format_row, ordered[:space]))
    return Group(*parts, head, *(Text(text, "yellow") for text in shown_problems), Text(""), table, *foot)
