"""Rows of devices, and the choice of devices by MAC, name, hostname or address."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from app.cli.api_client import ApiClient
from app.cli.exit_codes import CommandFailed, ExitCode
from app.miners.mac import canonical_mac

Row = dict[str, Any]

PAGE_ROWS = 1000
NAMING_FIELDS = "mac,ip,title,name,hostname,model,status,tags"
# Order in `watch`: problems first, then by the status.
STATUS_ORDER = ("offline", "locked", "refused", "stale", "restarting", "pending", "online", "unmonitored")


def fetch_rows(api: ApiClient, **query: Any) -> list[Row]:
    """Return the rows of GET /devices, all pages."""
    rows: list[Row] = []
    cursor = None
    while True:
        page = api.get("/devices", limit=PAGE_ROWS, cursor=cursor, **query)
        rows += page["data"]
        cursor = page.get("nextCursor")
        if not cursor:
            return rows


def find_matching(rows: Iterable[Row], text: str) -> list[Row]:
    """Return the rows that a MAC, a name, a hostname or an address names. Upper and lower case are equal.

    A MAC or an exact name takes precedence over a hostname, that over an address without its port.
    """
    wanted, mac = text.strip().lower(), canonical_mac(text)
    rows = list(rows)
    if mac and (found := [row for row in rows if row["mac"] == mac]):
        return found
    for key in ("name", "hostname", "ip"):
        if found := [row for row in rows if row.get(key) and str(row[key]).lower() == wanted]:
            return found
    return [row for row in rows if str(row["ip"]).partition(":")[0] == wanted]


def choose_devices(api: ApiClient, names: Sequence[str], tag: str | None = None, every: bool = False) -> list[Row]:
    """Return the devices that are named, each once; those with `tag`; or every device.

    Raises: CommandFailed if a name names none, or several.
    """
    rows = fetch_rows(api, fields=NAMING_FIELDS)
    chosen = [choose_one(rows, name) for name in names]
    if every:
        chosen = rows
    elif tag is not None:
        tagged = [row for row in rows if tag in row.get("tags", ())]
        if not tagged:
            raise CommandFailed(ExitCode.NOT_FOUND, f"No device has the tag {tag!r}.")
        chosen += tagged
    return list({row["mac"]: row for row in chosen}.values())


def choose_device(api: ApiClient, name: str) -> Row:
    return choose_devices(api, [name])[0]


def choose_one(rows: Sequence[Row], name: str) -> Row:
    found = find_matching(rows, name)
    if not found:
        raise CommandFailed(
            ExitCode.NOT_FOUND,
            f"No registered device has the MAC, name, hostname or address {name!r}; `pluto devices` lists them.",
        )
    if len(found) > 1:
        candidates = "\n".join(f"  {row['mac']}  {row['ip']}  {row['title']}" for row in found)
        raise CommandFailed(ExitCode.NOT_FOUND, f"{name!r} names {len(found)} devices; use a MAC:\n{candidates}")
    return found[0]


def sort_by_urgency(rows: Iterable[Row]) -> list[Row]:
    """Return the rows with problems first, errors before warnings, then by status and title."""
    return sorted(rows, key=_urgency)


def _urgency(row: Row) -> tuple[int, int, str, str]:
    severities = {problem.get("severity") for problem in row.get("problems", ())}
    rank = 0 if "error" in severities else 1 if severities else 2
    status = row.get("status", "")
    place = STATUS_ORDER.index(status) if status in STATUS_ORDER else len(STATUS_ORDER)
    return rank, place, str(row.get("title", "")).lower(), row["mac"]
