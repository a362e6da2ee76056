"""Checks of `doctor` on this machine, with the settings of this shell's environment: data directory, lock, port,
networks, neighbour table and mDNS."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from app.cli.findings import Finding, FindingMaker, Place
from app.cli.formatting import clean_text, format_bytes
from app.services.discovery.neighbours import parse_neighbours
from app.services.discovery.subnets import default_subnets, own_addresses
from app.settings import Settings

LOCK_FILE = "pluto.lock"
LOCKS = Path("/proc/locks")
LITTLE_SPACE = 200_000_000
MANY_ADDRESSES = 4096
MDNS_GROUP = "224.0.0.251"
CONNECT_SECONDS = 2.0


def check_host(settings: Settings, is_running: bool) -> Iterator[Finding]:
    """Yield the findings. `is_running`: the service answers at its URL."""
    yield from check_data_dir(settings.data_dir)
    yield check_lock(settings.data_dir, LOCKS, is_running)
    yield check_port(settings, is_running)
    yield from check_subnets(settings)
    yield check_neighbours(settings.neighbour_table)
    yield check_mdns(settings)


def check_data_dir(data_dir: Path) -> Iterator[Finding]:
    make = FindingMaker("data directory", Place.LOCAL)
    path = data_dir.absolute()
    if not path.exists():
        yield make.skipped(f"DATA_DIR {path} does not exist on this machine; the service creates it at its first start")
        return
    if not path.is_dir():
        yield make.error(f"DATA_DIR {path} is no directory", "Set DATA_DIR to a directory.")
        return
    if os.access(path, os.R_OK | os.W_OK | os.X_OK):
        yield make.ok(f"DATA_DIR {path} can be written by this user")
    else:
        owner = path.stat().st_uid
        yield make.warning(
            f"DATA_DIR {path} cannot be written by this user (it belongs to uid {owner})",
            f"That is right if the service runs as uid {owner}; else `chown -R` it to the service's user.",
        )
    free = shutil.disk_usage(path).free
    if free < LITTLE_SPACE:
        yield make.error(
            f"{format_bytes(free)} are free on the disk of DATA_DIR",
            "Free some space: with a full disk the service keeps polling but stores no change.",
        )
    else:
        yield make.ok(f"{format_bytes(free)} are free on the disk of DATA_DIR")


def check_lock(data_dir: Path, locks: Path, is_running: bool) -> Finding:
    """Say which process holds the lock on the data directory. The lock is not tried: that could stop a starting
    service."""
    make = FindingMaker("lock", Place.LOCAL)
    file = data_dir / LOCK_FILE
    try:
        inode = file.stat().st_ino
        held = [line.split() for line in locks.read_text().splitlines()]
    except OSError:
        return make.skipped(f"There is no lock file in {data_dir.absolute()}: no service has used it on this machine")
    pids = [fields[-4] for fields in held if "FLOCK" in fields and fields[-3].rpartition(":")[2] == str(inode)]
    if not pids:
        return make.ok("The lock of DATA_DIR is free: no service uses this directory now")
    holder = f"process {pids[0]} ({_read_command(pids[0])})"
    if is_running:
        return make.ok(f"The lock of DATA_DIR is held by {holder}")
    return make.warning(
        f"The lock of DATA_DIR is held by {holder}, and no service answers at the URL",
        "That process uses the directory at another port or address (PORT, BIND): set PLUTO_URL; or stop it.",
    )


def check_port(settings: Settings, is_running: bool) -> Finding:
    make = FindingMaker("port", Place.LOCAL)
    host = "127.0.0.1" if settings.bind in ("0.0.0.0", "::") else settings.bind
    try:
        socket.create_connection((host, settings.port), CONNECT_SECONDS).close()
    except OSError as error:
        if is_running:
            return make.ok(f"Nothing listens at {host}:{settings.port} of this machine; the service is elsewhere")
        reason = error.strerror or "no answer in time"
        return make.error(
            f"Nothing listens at {host}:{settings.port} (BIND, PORT): {reason}",
            "Start the service; if it does not start, its log has one line with the reason.",
        )
    reach = "this machine only" if host.startswith("127.") and settings.bind == host else "other machines too"
    if is_running:
        return make.ok(f"{settings.bind}:{settings.port} (BIND, PORT) accepts connections, from {reach}")
    return make.error(
        f"A program listens at {host}:{settings.port} (BIND, PORT) that does not answer as this service",
        "Stop it, or set another PORT; `ss -ltnp` shows which program it is.",
    )


def check_subnets(settings: Settings) -> Iterator[Finding]:
    make = FindingMaker("subnets", Place.LOCAL)
    subnets = settings.discovery_subnets or default_subnets()
    origin = "DISCOVERY_SUBNETS" if settings.discovery_subnets else "the networks of this machine"
    if not subnets:
        yield make.warning(
            "No network would be scanned: this machine has no private address",
            "Set DISCOVERY_SUBNETS to the network of the miners; in a container use the host's network.",
        )
        return
    count = sum(network.num_addresses for network in subnets) * len(settings.discovery_ports)
    shown = f"{', '.join(map(str, subnets))} ({origin}), {count:,} addresses and ports"
    forbidden = [
        network for network in subnets if not any(network.subnet_of(each) for each in settings.allowed_device_networks)
    ]
    if forbidden:
        yield make.error(
            f"{', '.join(map(str, forbidden))} would be scanned, but miners there are not contacted",
            "Add it to ALLOWED_DEVICE_NETWORKS.",
        )
    elif count > MANY_ADDRESSES:
        yield make.warning(f"A scan covers {shown}: it takes long", "Set smaller DISCOVERY_SUBNETS.")
    else:
        yield make.ok(f"A scan covers {shown}")


def check_neighbours(path: Path) -> Finding:
    make = FindingMaker("neighbour table", Place.LOCAL)
    try:
        count = len(parse_neighbours(path.read_text(encoding="ascii", errors="replace")))
    except OSError as error:
        return make.warning(
            f"{path} (NEIGHBOUR_TABLE) cannot be read: {error.strerror}",
            "Old firmware does not report its MAC address and is identified by this table; on Linux it is "
            "/proc/net/arp.",
        )
    if not count:
        return make.warning(
            f"{path} has no resolved entry",
            "In a container without the host's network, or with miners behind a router, firmware that does not "
            "report its MAC address cannot be identified: register it by hand, or use the host's network.",
        )
    return make.ok(f"{path} has {count} resolved {'entry' if count == 1 else 'entries'}")


def check_mdns(settings: Settings) -> Finding:
    """Join the multicast group of mDNS on each address, as the service does."""
    make = FindingMaker("mDNS", Place.LOCAL)
    if not settings.mdns:
        return make.skipped("MDNS=false: miners that announce themselves are not noticed")
    addresses = settings.mdns_interfaces or tuple(str(address.ip) for address in own_addresses())
    if not addresses:
        return make.warning(
            "This machine has no private address on which mDNS could be received",
            "Use the host's network for the container, or set MDNS_INTERFACES.",
        )
    failures = []
    for address in addresses:
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                group = socket.inet_aton(MDNS_GROUP) + socket.inet_aton(address)
                probe.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        except OSError as error:
            failures.append(f"{address}: {error.strerror or error}")
    if failures:
        return make.warning(
            f"mDNS cannot be received on {'; '.join(failures)}",
            "Set MDNS_INTERFACES to addresses of this machine; miners are still found by scans.",
        )
    return make.ok(f"mDNS can be received on {', '.join(addresses)}")


def _read_command(pid: str) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "of another user or container"
    return clean_text(b" ".join(words[:4]).decode(errors="replace").strip())
