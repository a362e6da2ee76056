"""`make demo`: twelve pretend miners and the service, on this machine only, until Ctrl-C.

Everything goes over loopback, as a user would do it: the service is gunicorn with the real configuration, and what is
found and imprinted goes through its REST routes. Logs and data are in .demo/.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import requests

from app.errors import SettingsError, StoreLocked
from app.settings import VARIABLES, Settings
from app.store.lock import DataDirLock

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / ".demo"
NEIGHBOURS = DEMO / "neighbours"
LOG_TAIL = 12
READY_SECONDS = 30.0
POLLED_SECONDS = 15.0


class DemoFailed(Exception):
    """Says what went wrong, in words for the user."""


class Part:
    """One process of the demo and its log."""

    def __init__(self, name: str, arguments: list[str], environ: Mapping[str, str]) -> None:
        self.name = name
        self.log = DEMO / f"{name}.log"
        with self.log.open("wb") as log:
            # A session of its own: Ctrl-C reaches only us, and we stop the parts in order.
            self.process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def check(self) -> None:
        """Raises DemoFailed when the process has ended."""
        if self.process.poll() is not None:
            tail = self.log.read_text(errors="replace").splitlines()[-LOG_TAIL:]
            lines = "\n".join(f"    {line}" for line in tail)
            raise DemoFailed(f"the {self.name} ended with status {self.process.returncode}; its last words:\n{lines}")

    def stop(self) -> None:
        """Idempotent; a process that does not end by itself within 10 s is killed."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def running(name: str, arguments: list[str], environ: Mapping[str, str]) -> Iterator[Part]:
    part = Part(name, arguments, environ)
    try:
        yield part
    finally:
        part.stop()


def environment(port: int) -> dict[str, str]:
    """The user's, less what is set of ours: the demo is the same everywhere, and stays on loopback."""
    ours = VARIABLES.keys() - {"LOG_LEVEL"}
    return {name: value for name, value in os.environ.items() if name not in ours} | {
        "PORT": str(port),
        "BIND": "127.0.0.1",
        "DATA_DIR": str(DEMO / "data"),
        "ALLOWED_DEVICE_NETWORKS": "127.0.0.0/8",
        "DISCOVERY_SUBNETS": "127.0.0.0/30",
        "DISCOVERY_PORTS": "80,8101-8112",
        "NEIGHBOUR_TABLE": str(NEIGHBOURS),
        "MDNS": "false",
    }


def free_port() -> int:
    """PORT (3000), or the next one that nobody listens on."""
    try:
        first = Settings.from_environ({"PORT": os.environ.get("PORT", "")}).port
    except SettingsError as error:
        raise DemoFailed(str(error)) from None
    for port in range(first, first + 100):
        with socket.socket() as probe:
            # As gunicorn binds: connections of a demo that just ended do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise DemoFailed(f"no free port from {first} to {first + 99}")


class Client:
    """The service as a user sees it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy between us and loopback

    def call(self, method: str, path: str, body: Any = None) -> Any:
        try:
            answer = self._session.request(method, self.url + path, json=body, timeout=60)
        except requests.RequestException as error:
            raise DemoFailed(f"{method} {path} got no answer: {error}") from None
        if not answer.ok:
            raise DemoFailed(f"{method} {path} answered {answer.status_code}: {answer.text}")
        return answer.json()

    def is_ready(self) -> bool:
        try:
            return self._session.get(f"{self.url}/readyz", timeout=5).ok
        except requests.RequestException:
            return False

    def imprint_all(self) -> None:
        """Finds the miners and registers them."""
        found = self.call("GET", "/devices/discover")
        self.call("PUT", "/devices/imprint", {"macs": [device["mac"] for device in found if device["mac"]]})

    def devices(self) -> list[dict[str, Any]]:
        return list(self.call("GET", "/devices/imprint")["data"])

    def all_polled(self) -> bool:
        return all(device.get("tracing") and not device.get("stale") for device in self.devices())


def wait(until: Callable[[], bool], seconds: float, parts: list[Part]) -> bool:
    """Whether it came true in time. Raises DemoFailed when a part ends meanwhile."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for part in parts:
            part.check()
        if until():
            return True
        time.sleep(0.2)
    return False


def summary(devices: list[dict[str, Any]]) -> str:
    versions = {device["info"].get("version") for device in devices}
    hashrate = sum(float(device["info"].get("hashRate") or 0) for device in devices) / 1000
    power = sum(device["info"]["power"] for device in devices)
    return f"{len(devices)} miners, {len(versions)} firmware versions, {hashrate:.2f} TH/s, {power:.0f} W"


def where_to_look(url: str, devices: list[dict[str, Any]]) -> str:
    return f"""
  {summary(devices)}

  page           {url}/
  devices        {url}/devices/imprint
  metrics        {url}/metrics
  API document   {url}/openapi.json
  Socket.IO      {url}  path /socket/io, event stat_update
  logs and data  {DEMO.relative_to(ROOT)}/

  Ctrl-C ends it.
"""


def demo() -> NoReturn:
    """Runs until interrupted (KeyboardInterrupt), or a part fails (DemoFailed), or one runs already (StoreLocked)."""
    lock = DataDirLock(DEMO)  # a second demo must not take away the first one's files
    lock.acquire()
    NEIGHBOURS.unlink(missing_ok=True)
    port = free_port()
    environ = environment(port)
    client = Client(f"http://127.0.0.1:{port}")
    with (
        running("simulator", ["simulator", "--demo", "--neighbours", str(NEIGHBOURS)], environ) as simulator,
        running("service", ["gunicorn"], environ) as service,
    ):
        parts = [simulator, service]
        # The simulator writes the neighbour table when its miners listen.
        if not wait(lambda: NEIGHBOURS.exists() and client.is_ready(), READY_SECONDS, parts):
            raise DemoFailed(f"not ready within {READY_SECONDS:.0f} s; see {simulator.log} and {service.log}")
        client.imprint_all()
        wait(client.all_polled, POLLED_SECONDS, parts)
        print(where_to_look(client.url, client.devices()), flush=True)
        while True:
            wait(lambda: False, 3600, parts)


def interrupt(signum: int, frame: object) -> NoReturn:
    """Once: whoever is impatient must not cut the stopping short and leave processes behind."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, interrupt)
    try:
        demo()
    except KeyboardInterrupt:
        print("\npluto demo: stopped", flush=True)
        return 0
    except (DemoFailed, StoreLocked) as error:
        print(f"pluto demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
