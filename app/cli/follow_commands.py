"""`logs` and `events`: what was recorded, and with `-f` each new line or event."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import click

from app.cli.api_client import ApiClient
from app.cli.command_options import DEVICE, api_command
from app.cli.device_rows import choose_device
from app.cli.formatting import clean_text, format_clock_time
from app.cli.output import Output

LEVELS = "EWIDV"
_LEVEL_STYLES = {"E": "red", "W": "yellow", "D": "dim", "V": "dim"}
_ALARMING = frozenset({"offline", "overheating", "drift", "pool_failover", "store_repaired"})
_RECONNECTING = "The connection to the service ended; reconnecting."


@click.command("logs")
@click.argument("device", type=DEVICE)
@click.option("--follow", "-f", is_flag=True, help="Continue with each new line, until Ctrl-C.")
@click.option("--tail", type=click.IntRange(1, 5000), default=50, show_default=True, help="Lines before.")
@click.option("--level", type=click.Choice(list(LEVELS), case_sensitive=False), help="This level or more severe.")
@click.option("--component", "-c", multiple=True, help="Only lines with this tag of the firmware; may be repeated.")
@api_command
def logs_command(
    api: ApiClient,
    out: Output,
    device: str,
    follow: bool,
    tail: int,
    level: str | None,
    component: tuple[str, ...],
) -> None:
    """Show the log of a miner. With --json and -f: one JSON object per line."""
    mac = choose_device(api, device)["mac"]
    page = api.get(f"/devices/{mac}/logs", tail=tail, level=level, tag=",".join(component) or None)["data"]
    if not follow:
        if out.as_json:
            out.print_json(page)
        elif not page["lines"]:
            out.print_note(f"No line is known (the stream is {page['state']}); -f opens the miner's log stream.")
        for line in () if out.as_json else page["lines"]:
            _print_line(out, line)
        return
    for line in page["lines"]:
        _print_line(out, line)
    wanted = LEVELS[: LEVELS.index(level) + 1] if level else ""
    with suppress(KeyboardInterrupt):
        for line in _iterate_log_lines(api, out, mac, page["epoch"], page["last"]):
            is_wanted = line["level"] in wanted if wanted and line["level"] else True
            if is_wanted and (not component or line["tag"] in component):
                _print_line(out, line)


@click.command("events")
@click.argument("device", required=False, type=DEVICE)
@click.option("--follow", "-f", is_flag=True, help="Continue with each new event, until Ctrl-C.")
@click.option("--kind", "-k", multiple=True, help="Only this kind; may be repeated. A wrong one lists all kinds.")
@click.option("--since", help="-90m, -24h, -7d, or an ISO 8601 time.")
@click.option("--limit", type=click.IntRange(1, 500), default=30, show_default=True, help="Events before.")
@api_command
def events_command(
    api: ApiClient,
    out: Output,
    device: str | None,
    follow: bool,
    kind: tuple[str, ...],
    since: str | None,
    limit: int,
) -> None:
    """Show events, oldest first.

    They are those of DEVICE, or without one of all devices, jobs and the service.
    With --json and -f: one JSON object per line.
    """
    mac = choose_device(api, device)["mac"] if device else None
    query = {"mac": mac, "kind": ",".join(kind) or None, "since": since, "limit": limit}
    if not follow:
        _print_events(out, api.get("/events", **query)["data"])
        return
    with suppress(KeyboardInterrupt):
        for event in _iterate_events(api, out, query):
            if (mac is None or event["mac"] == mac) and (not kind or event["kind"] in kind):
                _print_event(out, event)


def _iterate_log_lines(api: ApiClient, out: Output, mac: str, epoch: str, last: int) -> Any:
    """Yield the lines after `last`, also across a lost connection; the service marks lines that it had to drop."""
    from app.cli.live_events import CONNECTED, DISCONNECTED, LiveEvents

    with LiveEvents(api, ["log_line"]) as live:
        for kind, payload in live.iterate_events():
            if kind == CONNECTED:
                live.call("subscribeLogs", {"mac": mac, "epoch": epoch, "since": last})
            elif kind == DISCONNECTED:
                out.print_note(_RECONNECTING)
            elif payload["mac"] == mac:
                epoch, last = payload["epoch"], payload["seq"]
                yield payload


def _iterate_events(api: ApiClient, out: Output, query: dict[str, Any]) -> Any:
    """Yield the events of a query, then each new one; after a reconnect first those that were missed."""
    from app.cli.live_events import CONNECTED, DISCONNECTED, LiveEvents

    counts: dict[str, int] = {}  # id → repetitions that were shown
    latest: str | None = None
    with LiveEvents(api, ["event"]) as live:
        for kind, payload in live.iterate_events():
            if kind == DISCONNECTED:
                out.print_note(_RECONNECTING)
                continue
            since = query if latest is None else {**query, "since": latest, "limit": 500}
            arrived = reversed(api.get("/events", **since)["data"]) if kind == CONNECTED else [payload]
            for event in arrived:
                if counts.get(event["id"]) != event["count"]:
                    counts[event["id"]], latest = event["count"], event["last"]
                    yield event


def _print_line(out: Output, line: dict[str, Any]) -> None:
    if out.as_json:
        out.print_json_line(line)
        return
    at = format_clock_time(line["at"]) if line["at"] else " " * 8
    text = f"{at}  {line['level'] or ' '}  {line['tag'] or ''}: {line['text']}"
    out.print_text(clean_text(text), _LEVEL_STYLES.get(line["level"] or "", ""))


def _print_events(out: Output, events: list[dict[str, Any]]) -> None:
    if out.as_json:
        out.print_json(events)
        return
    if not events:
        out.print_note("No event is known.")
    for event in reversed(events):
        _print_event(out, event)


def _print_event(out: Output, event: dict[str, Any]) -> None:
    if out.as_json:
        out.print_json_line(event)
        return
    times = f" ({event['count']} times, last {format_clock_time(event['last'])})" if event["count"] > 1 else ""
    text = f"{format_clock_time(event['at'])}  {event['message']}{times}"
    out.print_text(clean_text(text), "yellow" if event["kind"] in _ALARMING else "")
