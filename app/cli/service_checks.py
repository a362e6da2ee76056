"""Checks of `doctor` that ask the service through its API."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from app.cli.api_client import ApiClient, parse_json
from app.cli.device_rows import Row, fetch_rows
from app.cli.exit_codes import CommandFailed
from app.cli.findings import Finding, FindingMaker, Place
from app.cli.formatting import format_bytes
from app.version import VERSION

# Larger differences of two clocks make jobs and histories hard to read.
MAX_SKEW_SECONDS = 5.0
# A clock before this is not set: a machine without a battery starts in 1970 or at its last shutdown.
EARLIEST_YEAR = 2026


def check_service(api: ApiClient) -> Iterator[Finding]:
    """Yield the findings about the service itself. Stop after the first one without which the others fail."""
    reached = FindingMaker("service", Place.SERVICE)
    try:
        response = api.request_raw("/healthz")
    except CommandFailed as error:
        yield reached.error(
            error.message, "Start the service, or set PLUTO_URL; see the local findings about the port and the lock."
        )
        return
    health = parse_json(response)
    if not isinstance(health, dict) or "version" not in health:
        yield reached.error(
            f"{api.url} answers, but not like Pluto (status {response.status_code})",
            "Another program uses this port, or a proxy answers: check PLUTO_URL and PORT.",
        )
        return
    version = str(health["version"])
    if version == VERSION:
        yield reached.ok(f"{api.url} answers, version {version}")
    else:
        yield reached.warning(
            f"{api.url} has version {version}, this command {VERSION}",
            "Use the command of the same version: in the container `docker exec <container> pluto doctor`.",
        )
    yield check_readiness(parse_json(api.request_raw("/readyz")))
    yield check_clock(response.headers.get("Date"), datetime.now(UTC))
    try:
        stores = api.get("/admin/store")["data"]
    except CommandFailed as error:
        yield FindingMaker("token", Place.SERVICE).error(
            error.message, "Set PLUTO_TOKEN to the service's API_TOKEN or API_TOKEN_READ."
        )
        return
    token = FindingMaker("token", Place.SERVICE)
    yield check_openness(ApiClient(api.url).request_raw("/admin/store").status_code, token, api.token)
    for store in stores:
        yield check_store(store)
    yield check_devices(fetch_rows(api))


def check_readiness(answer: Any) -> Finding:
    make = FindingMaker("readiness", Place.SERVICE)
    if not isinstance(answer, dict) or not isinstance(answer.get("checks"), dict):
        return make.error("/readyz does not answer like Pluto", "Check PLUTO_URL.")
    failed = [name for name, passed in answer["checks"].items() if not passed]
    if failed:
        return make.error(
            f"The service is not ready: {', '.join(failed)}", "See its log, and the findings about the store below."
        )
    return make.ok("The service is ready")


def check_clock(date: str | None, now: datetime) -> Finding:
    """Compare this machine's clock with the service's Date header, and both with a plausible year."""
    make = FindingMaker("clock", Place.SERVICE)
    if now.year < EARLIEST_YEAR:
        return make.error(f"This machine's clock says {now:%Y-%m-%d}", "Set the clock; enable NTP (`timedatectl`).")
    try:
        there = parsedate_to_datetime(date or "")
    except ValueError:
        return make.skipped("The service's answer has no Date header")
    skew = (there - now).total_seconds()
    if abs(skew) > MAX_SKEW_SECONDS:
        way = "ahead of" if skew > 0 else "behind"
        return make.warning(
            f"The service's clock is {abs(skew):,.0f} s {way} this machine's",
            "Enable NTP on both machines (`timedatectl set-ntp true`): times of events and the history are wrong.",
        )
    return make.ok(f"The clocks of the service and of this machine agree ({now.astimezone():%H:%M:%S %Z})")


def check_openness(status_without_token: int, make: FindingMaker, token: str | None) -> Finding:
    if status_without_token == 401:
        return make.ok("The service needs a token, and PLUTO_TOKEN is valid")
    note = "; PLUTO_TOKEN is set and not needed" if token else ""
    return make.ok(f"The service needs no token: every machine that reaches it may control the miners{note}")


def check_store(store: dict[str, Any]) -> Finding:
    make = FindingMaker("store", Place.SERVICE)
    name = store["name"]
    if not store["writable"]:
        return make.error(
            f"{name} cannot be written: {store.get('failure')}",
            "Free space on the disk of DATA_DIR, or correct its owner, and restart the service (docs/backup.md).",
        )
    if repair := store.get("repair"):
        return make.warning(
            f"{name} was damaged and repaired at the start: {repair['damage']}",
            f"Compare devices and presets with a backup; the damaged files are in {repair['kept']}.",
        )
    size = f", {format_bytes(store['history']['bytes'])}" if isinstance(store.get("history"), dict) else ""
    return make.ok(f"{name} can be written{size}")


def check_devices(rows: list[Row]) -> Finding:
    make = FindingMaker("devices", Place.SERVICE)
    if not rows:
        return make.warning("No device is registered", "Find and register some: `pluto discover`, `pluto register`.")
    online = sum(row["status"] == "online" for row in rows)
    troubled = [row["title"] for row in rows if any(each["severity"] == "error" for each in row.get("problems", ()))]
    if troubled:
        return make.warning(
            f"{online} of {len(rows)} devices are online; problems: {', '.join(troubled[:5])}"
            + (f" and {len(troubled) - 5} more" if len(troubled) > 5 else ""),
            f"`pluto devices --state attention` has the reasons; `pluto doctor --miner {troubled[0]}` checks one.",
        )
    return make.ok(f"{online} of {len(rows)} devices are online")
