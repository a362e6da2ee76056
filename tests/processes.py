"""Run the service under gunicorn, the simulated miners and any other program as processes on loopback.

Each process ends with the test that started it.
"""

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
MINER_COUNT = 12

_network_numbers = count(1)


def wait_for(what: str, until: Callable[[], Any], seconds: float) -> Any:
    """Return the first true value of `until`. Fail with the text `what` when there is none within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := until():
            return value
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {seconds:g} s")


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """A process that writes its output to a file, or to the file descriptor `output`.

    `stop` sends SIGTERM and returns the exit status; it may be called again.
    """

    def __init__(
        self,
        name: str,
        arguments: list[str],
        folder: Path,
        environ: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        output: int | None = None,
    ) -> None:
        self.log_file = folder / f"{name}.log"
        with self.log_file.open("ab") as log_file:
            self.popen = subprocess.Popen(
                arguments, cwd=cwd, env=environ, stdin=subprocess.DEVNULL,
                stdout=output or log_file, stderr=output or log_file,
                start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self.popen.pid

    def read_output(self) -> str:
        return self.log_file.read_text(errors="replace")

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


class SimulatorProcess(Process):
    """Twelve simulated miners (or more) of all generations in one process.

    Their network is not used by any other test run on this machine. `log_rate`: log lines per second and miner.
    """

    def __init__(self, folder: Path, count: int = MINER_COUNT, log_rate: float = 2.0, name: str = "simulator") -> None:
        self.network = f"127.{100 + os.getpid() % 100}.{next(_network_numbers) % 256}.0/28"
        base = self.network.replace(".0/28", ".1")
        self.table = folder / "neighbours"
        self._url = f"http://{base}:8099/miners"
        arguments = ["--count", str(count), "--base", base, "--port", "8100", "--boot-seconds", "2"]
        arguments += ["--log-rate", str(log_rate)]
        control = ["--neighbours", str(self.table), "--control", f"{base}:8099"]
        super().__init__(name, [sys.executable, "-m", "simulator", *arguments, *control], folder)

    def wait_until_ready(self) -> None:
        wait_for("the simulator", lambda: self.popen.poll() is not None or "ready" in self.read_output(), 20)
        assert self.popen.poll() is None, self.read_output()

    def settings(self) -> dict[str, str]:
        """Return the settings with which the service finds these miners and no others."""
        return {
            "ALLOWED_DEVICE_NETWORKS": "127.0.0.0/8",
            "DISCOVERY_SUBNETS": self.network,
            "DISCOVERY_PORTS": "8100",
            "NEIGHBOUR_TABLE": str(self.table),
        }

    @property
    def control_url(self) -> str:
        return self._url

    def list_miners(self) -> list[dict[str, Any]]:
        return list(requests.get(self._url, timeout=10).json())

    def get_miner(self, mac: str) -> dict[str, Any]:
        """Return the miner with its request counts and its `/info`."""
        return dict(requests.get(f"{self._url}/{mac}", timeout=10).json())

    def read_log(self, mac: str) -> list[str]:
        """Return the last entries of the miner's log."""
        return list(requests.get(f"{self._url}/{mac}/said", timeout=10).json()["said"])

    def list_writes(self, mac: str) -> list[tuple[str, str, str]]:
        """Return the write requests that the miner received as (method, path, body), oldest first."""
        written = requests.get(f"{self._url}/{mac}/writes", timeout=10).json()["writes"]
        return [(method, path, body) for method, path, body in written]

    def clear_fault(self, mac: str) -> None:
        """End the miner's fault."""
        assert requests.delete(f"{self._url}/{mac}/fault", timeout=10).ok

    def send_command(self, mac: str, command: str, **options: Any) -> None:
        """Send `power_off`, `power_on`, `fault`, ..: see simulator/control.py."""
        answer = requests.post(f"{self._url}/{mac}/{command}", json=options, timeout=10)
        assert answer.ok, answer.text


class ServiceProcess(Process):
    """The service as in production: `python -m gunicorn` with the project's own configuration."""

    def __init__(self, folder: Path, settings: Mapping[str, str], cwd: Path = ROOT, output: int | None = None) -> None:
        self.data_dir = folder / "data"
        self.settings = {
            "PORT": str(find_free_port()),
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
        assert self.popen.poll() is None, self.read_output()

    def is_ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/readyz", timeout=2).ok
        except requests.RequestException:
            return False

    def call_api(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Return the parsed answer. Fail unless the status is a success."""
        answer = requests.request(method, self.url + path, json=body, headers=self.headers | headers, timeout=30)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def imprint_all_miners(self) -> list[str]:
        """Discover the twelve miners, register them and return their MACs."""
        macs = [device["mac"] for device in self.call_api("GET", "/devices/discover")]
        assert len(macs) == MINER_COUNT and None not in macs
        self.call_api("PUT", "/devices/imprint", {"macs": macs})
        return macs

    def list_devices(self) -> list[dict[str, Any]]:
        return list(self.call_api("GET", "/devices/imprint")["data"])

    def list_titles(self) -> list[str]:
        """Return the names under which the devices are shown."""
        return [row["title"] for row in self.call_api("GET", "/devices")["data"]]

    def wait_until_online(self, expected: int = MINER_COUNT) -> None:
        wait_for(
            f"{expected} miners online",
            lambda: sum(device["status"] == "online" for device in self.list_devices()) == expected,
            15,
        )

    def parse_log_lines(self) -> list[dict[str, Any]]:
        """Return the parsed log. Fail if a line is not JSON, except for the line with which it refuses to start."""
        return [json.loads(line) for line in self.read_output().splitlines() if not line.startswith("pluto: ")]

    def list_worker_pids(self) -> list[int]:
        """Return the pids of the master's children."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
