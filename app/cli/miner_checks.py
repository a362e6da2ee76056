"""Checks of `doctor` of one miner: the path from this machine to its answer."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from app.cli.api_client import BearerToken, describe_failure, parse_json
from app.cli.device_rows import Row
from app.cli.findings import Finding, FindingMaker, Place
from app.cli.formatting import clean_text
from app.miners.address import DEFAULT_PORT, Address
from app.miners.mac import canonical_mac
from app.services.discovery.neighbours import parse_neighbours

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 5.0
SLOW_SECONDS = 1.0
INFO_PATH = "/api/system/info"


def check_miner(row: Row, neighbour_table: Path) -> Iterator[Finding]:
    """Yield a finding per step. A failed step is the last one."""
    title = clean_text(row["title"])
    yield check_status(row)
    address = Address.parse(row["ip"])
    yield check_neighbour_entry(title, row["mac"], address.host, neighbour_table)
    connected = check_connection(title, address)
    yield connected
    if connected.severity != "error":
        yield check_answer(title, row["mac"], address)


def check_status(row: Row) -> Finding:
    make = FindingMaker("miner: status", Place.SERVICE)
    where = row["ip"] if row["title"] == row["ip"] else f"{clean_text(row['title'])} at {row['ip']}"
    errors = [problem["message"] for problem in row.get("problems", ()) if problem["severity"] == "error"]
    if not errors:
        return make.ok(f"The service says of {where}: {row['status']}")
    return make.error(
        f"The service says of {where}: {row['status']}. {clean_text(' '.join(errors))}",
        "The findings below show where the path from this machine to the miner ends.",
    )


def check_neighbour_entry(title: str, mac: str, host: str, table: Path) -> Finding:
    """Compare the neighbour table's MAC of the address with the miner's."""
    make = FindingMaker("miner: ARP", Place.LOCAL)
    try:
        found = parse_neighbours(table.read_text(encoding="ascii", errors="replace")).get(host)
    except OSError:
        found = None
    if found is None:
        return make.skipped(f"{table} has no entry for {host}: it is behind a router, or was not contacted lately")
    if found != mac:
        return make.warning(
            f"{table} says that {host} is {found}, not {title} ({mac})",
            "Another machine has this address now: scan with `pluto discover`; reserve addresses in the router.",
        )
    return make.ok(f"{host} has the MAC address of {title}")


def check_connection(title: str, address: Address) -> Finding:
    make = FindingMaker("miner: connection", Place.LOCAL)
    start = time.monotonic()
    try:
        socket.create_connection((address.host, address.port), CONNECT_SECONDS).close()
    except TimeoutError:
        return make.error(
            f"No connection to {address} within {CONNECT_SECONDS:.0f} s",
            f"{title} is off, has another address, or a firewall or another VLAN is between: `ping {address.host}`.",
        )
    except ConnectionRefusedError:
        return make.error(
            f"{address.host} refuses connections to port {address.port}",
            f"Another machine has the address, or {title} is starting: wait a minute, then `pluto discover`.",
        )
    except OSError as error:
        return make.error(
            f"No connection to {address}: {error.strerror or error}",
            f"This machine has no route to it, or {title} does not answer ARP: it is off, or in another network.",
        )
    elapsed = time.monotonic() - start
    if elapsed > SLOW_SECONDS:
        return make.warning(f"The connection to {address} took {elapsed:.1f} s", "Its Wi-Fi is weak: check `rssiDbm`.")
    return make.ok(f"Connected to {address} in {elapsed * 1000:.0f} ms")


def check_answer(title: str, mac: str, address: Address) -> Finding:
    """Request the miner's state as the service does, and explain its status."""
    make = FindingMaker("miner: answer", Place.LOCAL)
    port = "" if address.port == DEFAULT_PORT else f":{address.port}"
    start = time.monotonic()
    try:
        response = requests.get(
            f"http://{address.host}{port}{INFO_PATH}",
            auth=BearerToken(None),
            timeout=ANSWER_SECONDS,
            allow_redirects=False,
        )
    except requests.RequestException as error:
        return make.error(
            f"{title} accepts the connection but does not answer {INFO_PATH}: {describe_failure(error)}",
            "Restart it by its power supply if this does not end within a minute.",
        )
    elapsed = time.monotonic() - start
    if response.status_code != 200:
        return explain_status(make, title, response)
    info = parse_json(response)
    if not isinstance(info, dict) or not ("hashRate" in info or "ASICModel" in info):
        return make.error(
            f"{address} answers, but not like a miner", "Another device has this address: scan with `pluto discover`."
        )
    reported = canonical_mac(info.get("macAddr"))
    if reported not in (None, mac):
        return make.error(
            f"The miner at {address} is {reported}, not {title} ({mac})",
            "The addresses of the miners changed: scan with `pluto discover`; reserve addresses in the router.",
        )
    version = clean_text(info.get("version", "unknown version"))
    return make.ok(f"{title} answers in {elapsed * 1000:.0f} ms ({version})")


def explain_status(make: FindingMaker, title: str, response: Any) -> Finding:
    status = response.status_code
    if status == 401 and "WWW-Authenticate" in response.headers:
        return make.error(
            f"{title} asks for a login (401)",
            "Turn its login off, or allow reading without one: the service has no password of miners.",
        )
    if status == 401:
        return make.error(
            f"{title} refuses this machine's address (401 without a login)",
            "AxeOS answers only private addresses of its own network: put the service into the miner's network, "
            "without NAT or VPN between them.",
        )
    if status == 403:
        return make.error(
            f"{title} forbids the request (403)",
            "Its firmware, or a proxy in front of it, allows other addresses only: check the miner's network settings.",
        )
    if 300 <= status < 400:
        return make.error(
            f"{title} redirects to another address ({status})", "A captive portal or proxy answers in its place."
        )
    return make.error(
        f"{title} answers with status {status}", "Its firmware failed, or another device has the address; restart it."
    )
