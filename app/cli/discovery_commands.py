"""`discover` and `register`: miners on the network, and their registration (the API's `imprint`)."""

from __future__ import annotations

import time
from typing import Any

import click

from app.cli.api_client import ApiClient
from app.cli.command_options import api_command
from app.cli.device_rows import find_matching
from app.cli.exit_codes import CommandFailed, ExitCode
from app.cli.formatting import NO_VALUE, clean_text, format_hashrate
from app.cli.output import Output
from app.miners.mac import canonical_mac

SCAN_POLL_SECONDS = 0.25
_COUNT_WORDS = (("new", "new"), ("moved", "moved"), ("registered", "registered"), ("ignored", "ignored"),
                ("noMac", "without a MAC address"))  # fmt: skip
_COLUMNS = ("MINER", "KIND", "ADDRESS", "MAC", "MODEL", "FIRMWARE", ">HASHRATE")


@click.command("discover")
@api_command
def discover_command(api: ApiClient, out: Output) -> None:
    """Scan the network for miners. Nothing is registered."""
    scan = run_scan(api, out)
    if out.as_json:
        out.print_json(scan)
        return
    if scan["found"]:
        out.print_table(_COLUMNS, map(_format_found, scan["found"]))
        out.print_text("")
    counts = [f"{scan['counts'].get(key)} {word}" for key, word in _COUNT_WORDS if scan["counts"].get(key)]
    out.print_text(f"{', '.join(counts) or 'No miner found'} ({scan['probed']} addresses probed)")


@click.command("register")
@click.argument("miners", nargs=-1)
@click.option("--new", "all_new", is_flag=True, help="Scan, and register every new miner that is not ignored.")
@click.option("--address", "addresses", multiple=True, help="The miner at this address; may be repeated.")
@api_command
def register_command(
    api: ApiClient, out: Output, miners: tuple[str, ...], all_new: bool, addresses: tuple[str, ...]
) -> None:
    """Register miners.

    MINERS are discovered ones, by MAC, hostname or address.
    """
    if not (miners or all_new or addresses):
        raise click.UsageError("Name a miner, or add --new or --address.")
    wanted: dict[str, str] = {}  # MAC → address
    if all_new:
        wanted.update({each["mac"]: each["ip"] for each in run_scan(api, out)["found"] if each["kind"] == "new"})
        if not wanted and not miners and not addresses:
            out.print_note("The scan found no new miner.")
    wanted.update(_find_at_address(api, address) for address in addresses)
    if miners:
        discovered = [_flatten_discovered(each) for each in api.get("/devices/discovered")]
        wanted.update(_find_discovered(discovered, name) for name in miners)
    registered = _register_macs(api, wanted) if wanted else []
    if out.as_json:
        out.print_json(registered)
    else:
        for each in registered:
            hostname = each["info"].get("hostname") or each["ip"]
            out.print_text(f"Registered {clean_text(hostname)} at {clean_text(each['ip'])} ({each['mac']})")
    if missing := wanted.keys() - {each["mac"] for each in registered}:
        raise CommandFailed(ExitCode.FAILED_IN_PART, f"Not registered: {', '.join(sorted(missing))}")


def run_scan(api: ApiClient, out: Output) -> dict[str, Any]:
    """Start a scan, or join the running one, and return its state at its end."""
    scan = api.send("POST", "/devices/scan")["data"]
    with out.create_progress() as progress:
        task = progress.add_task("Scanning", total=scan["total"] or None)
        while scan["state"] == "running":
            time.sleep(SCAN_POLL_SECONDS)
            scan = api.get("/devices/scan")["data"]
            found = f"Scanning, {len(scan['found'])} found"
            progress.update(task, completed=scan["probed"], total=scan["total"] or None, description=found)
    if scan["state"] == "failed":
        raise CommandFailed(ExitCode.SERVICE_FAILED, f"The scan failed: {scan.get('error', 'see the log')}")
    return dict(scan)


def _register_macs(api: ApiClient, wanted: dict[str, str]) -> list[dict[str, Any]]:
    devices = [{"mac": mac, "ip": ip} for mac, ip in wanted.items()]
    answered = api.send("PUT", "/devices/imprint", {"devices": devices})["data"]
    return [device for device in answered if device["mac"] in wanted]


def _find_at_address(api: ApiClient, address: str) -> tuple[str, str]:
    """Return the MAC and the address of the miner at an address."""
    found = api.get("/devices/discover", ip=address)
    if not found:
        raise CommandFailed(ExitCode.NOT_FOUND, f"No miner answers at {address}; `pluto doctor` finds out more.")
    if not found[0]["mac"]:
        raise CommandFailed(
            ExitCode.REFUSED,
            f"The miner at {address} does not report its MAC address, and the neighbour table has none: see "
            "NEIGHBOUR_TABLE in docs/settings.md.",
        )
    return found[0]["mac"], found[0]["ip"]


def _find_discovered(discovered: list[dict[str, Any]], name: str) -> tuple[str, str]:
    found = find_matching(discovered, name)
    if not found:
        hint = "scan with `pluto discover`, or use --address"
        kind = "MAC" if canonical_mac(name) else "MAC, hostname or address"
        raise CommandFailed(ExitCode.NOT_FOUND, f"No discovered miner has the {kind} {name!r}: {hint}.")
    if len(found) > 1:
        candidates = "\n".join(f"  {each['mac']}  {each['ip']}  {each['hostname']}" for each in found)
        raise CommandFailed(ExitCode.NOT_FOUND, f"{name!r} names {len(found)} miners; use a MAC:\n{candidates}")
    return found[0]["mac"], found[0]["ip"]


def _flatten_discovered(miner: dict[str, Any]) -> dict[str, Any]:
    return {"mac": miner["mac"], "ip": miner["ip"], "hostname": miner["info"].get("hostname", "")}


def _format_found(found: dict[str, Any]) -> tuple[str, ...]:
    kind = f"moved from {found['previousIp']}" if found.get("previousIp") else found["kind"]
    mac = found["mac"] or NO_VALUE
    firmware = f"{found['firmware']} {found.get('version', '')}".strip()
    return found["title"], kind, found["ip"], mac, found["model"], firmware, format_hashrate(found.get("hashrateGhs"))
