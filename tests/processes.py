"""The real parts, each a process of its own on loopback: the service under gunicorn, the simulated miners, and what
else a test starts. Each ends with the test that started it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).resolve().parent.parent
JS = ROOT / "tests/e2e/js"
MINERS = 12

_fleets = count(1)


def wait_for(what: str, until: Callable[[], Any], seconds: float) -> Any:
    """The first true value of `until`; fails, saying what was waited for, when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := until():
            return value
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds:g} s in vain for {what}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """A process with its output in a file, or in the file descriptor `output`. `stop` is SIGTERM and returns the exit
    status; idempotent."""

    def __init__(
        self,
        name: str,
        arguments: list[str],
        folder: Path,
        environ: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        output: int | None = None,
    ) -> None:
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                arguments, cwd=cwd, env=environ, stdin=subprocess.DEVNULL, stdout=output or log, stderr=output or log,
                start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self.popen.pid

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def wait(self, seconds: float) -> int:
        return self.popen.wait(seconds)

    def stop(self, seconds: float = 10) -> int:
        if self.popen.poll() is None:
            self.popen.terminate()
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self.popen.wait()
            raise


class Miners(Process):
    """Twelve miners (or more) of all generations, each with an address of its own that no other run on this machine
    uses. `log_rate`: lines per second of each."""

    def __init__(self, folder: Path, count: int = MINERS, log_rate: float = 2.0, name: str = "simulator") -> None:
        self.network = f"127.{100 + os.getpid() % 100}.{next(_fleets) % 256}.0/28"
        base = self.network.replace(".0/28", ".1")
        self.table = folder / "neighbours"
        self._url = f"http://{base}:8099/miners"
        arguments = ["--count", str(count), "--base", base, "--port", "8100", "--boot-seconds", "2"]
        arguments += ["--log-rate", str(log_rate)]
        control = ["--neighbours", str(self.table), "--control", f"{base}:8099"]
        super().__init__(name, [sys.executable, "-m", "simulator", *arguments, *control], folder)

    def wait_until_ready(self) -> None:
        wait_for("the simulator", lambda: self.popen.poll() is not None or "ready" in self.text(), 20)
        assert self.popen.poll() is None, self.text()

    def settings(self) -> dict[str, str]:
        """What the service needs to find them, and nothing else."""
        return {
            "ALLOWED_DEVICE_NETWORKS": "127.0.0.0/8",
            "DISCOVERY_SUBNETS": self.network,
            "DISCOVERY_PORTS": "8100",
            "NEIGHBOUR_TABLE": str(self.table),
        }

    def all(self) -> list[dict[str, Any]]:
        return list(requests.get(self._url, timeout=10).json())

    def one(self, mac: str) -> dict[str, Any]:
        """With what it was asked and what its /info says."""
        return dict(requests.get(f"{self._url}/{mac}", timeout=10).json())

    def said(self, mac: str) -> list[str]:
        """The last entries of its log."""
        return list(requests.get(f"{self._url}/{mac}/said", timeout=10).json()["said"])

    def writes(self, mac: str) -> list[tuple[str, str, str]]:
        """What was written to it: method, path and body, the oldest first."""
        written = requests.get(f"{self._url}/{mac}/writes", timeout=10).json()["writes"]
        return [(method, path, body) for method, path, body in written]

    def heal(self, mac: str) -> None:
        """Ends its fault."""
        assert requests.delete(f"{self._url}/{mac}/fault", timeout=10).ok

    def tell(self, mac: str, what: str, **options: Any) -> None:
        """`power_off`, `power_on`, `fault`, ..: see simulator/control.py."""
        answer = requests.post(f"{self._url}/{mac}/{what}", json=options, timeout=10)
        assert answer.ok, answer.text


class Service(Process):
    """The service as it is run: `python -m gunicorn` with the project's own configuration."""

    def __init__(self, folder: Path, settings: Mapping[str, str], cwd: Path = ROOT, output: int | None = None) -> None:
        self.data_dir = folder / "data"
        self.settings = {
            "PORT": str(free_port()),
            "DATA_DIR": str(self.data_dir),
            "MDNS": "false",
            "DISCOVERY_SUBNETS": "127.0.0.0/32",
            **settings,
        }
        self.port = self.settings["PORT"]
        self.url = f"http://127.0.0.1:{self.port}"
        token = settings.get("API_TOKEN")
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        environ = {"PATH": os.environ["PATH"], "HOME": str(folder), **self.settings}
        super().__init__("service", [sys.executable, "-m", "gunicorn"], folder, environ, cwd, output)

    def wait_until_ready(self) -> None:
        wait_for("the service", lambda: self.popen.poll() is not None or self.is_ready(), 20)
        assert self.popen.poll() is None, self.text()

    def is_ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/readyz", timeout=2).ok
        except requests.RequestException:
            return False

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The parsed answer; fails unless it is a success."""
        answer = requests.request(method, self.url + path, json=body, headers=self.headers | headers, timeout=30)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def imprint_all(self) -> list[str]:
        """Finds the miners and registers them; returns their MACs."""
        macs = [device["mac"] for device in self.call("GET", "/devices/discover")]
        assert len(macs) == MINERS and None not in macs
        self.call("PUT", "/devices/imprint", {"macs": macs})
        return macs

    def devices(self) -> list[dict[str, Any]]:
        return list(self.call("GET", "/devices/imprint")["data"])

    def wait_until_online(self, how_many: int = MINERS) -> None:
        wait_for(
            f"{how_many} miners online",
            lambda: sum(device["status"] == "online" for device in self.devices()) == how_many,
            15,
        )

    def lines(self) -> list[dict[str, Any]]:
        """What it said. Fails when a line is no JSON, but for the sentence with which it refuses to start."""
        said = [line for line in self.text().splitlines() if not line.startswith("pluto: ")]
        return [json.loads(line) for line in said]

    def workers(self) -> list[int]:
        """The pids of the master's children."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
