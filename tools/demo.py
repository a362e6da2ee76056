"""`make demo`: twelve simulated miners and the service, on this machine only, until Ctrl-C.

The first start writes one simulated day of history before the service starts, so that no chart is empty.
All traffic stays on loopback and takes the same way as a user's: gunicorn runs the service with its real configuration,
and the miners are discovered and registered (imprinted) through its REST routes. Logs and data are in .demo/.
"""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

from app.errors import SettingsError, StoreLocked
from app.settings import Settings
from app.store.lock import DataDirLock

from .child_processes import (
    PYTHON,
    ROOT,
    ManagedProcess,
    ProcessFailed,
    drop_service_settings,
    find_free_port,
    install_stop_signals,
    wait_until,
)
from .http_requests import fetch_json, is_ready

DEMO = ROOT / ".demo"
NEIGHBOURS = DEMO / "neighbours"
HISTORY_SECONDS = 120.0
READY_SECONDS = 30.0
POLLED_SECONDS = 15.0
PORTS_TO_TRY = 100


def build_environment(port: int) -> dict[str, str]:
    """Return the user's environment with the demo's settings."""
    return drop_service_settings(os.environ) | {
        "PORT": str(port),
        "BIND": "127.0.0.1",
        "DATA_DIR": str(DEMO / "data"),
        "ALLOWED_DEVICE_NETWORKS": "127.0.0.0/8",
        "DISCOVERY_SUBNETS": "127.0.0.0/30",
        "DISCOVERY_PORTS": "80,8101-8112",
        "NEIGHBOUR_TABLE": str(NEIGHBOURS),
        "MDNS": "false",
    }


def choose_port() -> int:
    """Return PORT (3000), or the next port that is free."""
    try:
        first = Settings.from_environ({"PORT": os.environ.get("PORT", "")}).port
    except SettingsError as error:
        raise ProcessFailed(str(error)) from None
    port = find_free_port(range(first, first + PORTS_TO_TRY))
    if port is None:
        raise ProcessFailed(f"no free port from {first} to {first + PORTS_TO_TRY - 1}")
    return port


def write_history(environ: dict[str, str]) -> None:
    """Write a simulated day, unless there is a history. Raises ProcessFailed."""
    arguments = [*PYTHON, "tools.demo_history", environ["DATA_DIR"]]
    with ManagedProcess("history", arguments, DEMO, environ, piped=False) as writer:
        writer.wait_for_end(HISTORY_SECONDS)


def register_discovered(server: str) -> None:
    """Discover the miners and register (imprint) them."""
    found = fetch_json(server, "/devices/discover")
    fetch_json(server, "/devices/imprint", "PUT", {"macs": [device["mac"] for device in found if device["mac"]]})


def list_devices(server: str) -> list[dict[str, Any]]:
    return list(fetch_json(server, "/devices/imprint")["data"])


def are_all_polled(server: str) -> bool:
    return all(device.get("tracing") and not device.get("stale") for device in list_devices(server))


def format_summary(devices: list[dict[str, Any]]) -> str:
    versions = {device["info"].get("version") for device in devices}
    hashrate = sum(float(device["info"].get("hashRate") or 0) for device in devices) / 1000
    power = sum(device["info"]["power"] for device in devices)
    return f"{len(devices)} miners, {len(versions)} firmware versions, {hashrate:.2f} TH/s, {power:.0f} W"


def format_overview(url: str, devices: list[dict[str, Any]]) -> str:
    return f"""
  {format_summary(devices)}

  page           {url}/
  devices        {url}/devices/imprint
  metrics        {url}/metrics
  history        {url}/history?from=-24h  (the day before the first start is simulated)
  API reference  {url}/docs
  Socket.IO      {url}  path /socket/io, event stat_update
  logs and data  {DEMO.relative_to(ROOT)}/

  Ctrl-C ends it.
"""


def run_demo() -> NoReturn:
    """Run the demo until it is interrupted.

    Raises:
        KeyboardInterrupt: at Ctrl-C.
        ProcessFailed: when the simulator or the service ends.
        StoreLocked: when another demo runs in this directory.
    """
    lock = DataDirLock(DEMO)  # A second demo must not delete the files of the first.
    lock.acquire()
    NEIGHBOURS.unlink(missing_ok=True)
    port = choose_port()
    environ = build_environment(port)
    server = f"127.0.0.1:{port}"
    write_history(environ)
    simulated = [*PYTHON, "simulator", "--demo", "--neighbours", str(NEIGHBOURS)]
    with (
        ManagedProcess("simulator", simulated, DEMO, environ, piped=False, stop_timeout=10) as simulator,
        ManagedProcess("service", [*PYTHON, "gunicorn"], DEMO, environ, piped=False, stop_timeout=10) as service,
    ):
        processes = [simulator, service]
        # The simulator writes the neighbour table when its miners listen.
        if not wait_until(lambda: NEIGHBOURS.exists() and is_ready(server), READY_SECONDS, processes):
            raise ProcessFailed(f"not ready within {READY_SECONDS:.0f} s; see {simulator.log} and {service.log}")
        register_discovered(server)
        wait_until(lambda: are_all_polled(server), POLLED_SECONDS, processes)
        print(format_overview(f"http://{server}", list_devices(server)), flush=True)
        while True:
            wait_until(lambda: False, 3600, processes)


def main() -> int:
    install_stop_signals()
    try:
        run_demo()
    except KeyboardInterrupt:
        print("\npluto demo: stopped", flush=True)
        return 0
    except (ProcessFailed, StoreLocked) as error:
        print(f"pluto demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
