"""The service under gunicorn with everything on, on a data directory of its own."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any

from .miners import PORT, Miners
from .options import Options
from .proc import children
from .processes import BenchFailed, Part, free_port, python, wait_for

READY_SECONDS = 120.0
IMPRINT_BATCH = 500


class Service:
    """Starts in the constructor. `master` and `worker` are its pids."""

    def __init__(
        self, options: Options, folder: Path, grafana: str | None, persist_interval: float, *, watched: bool
    ) -> None:
        self.port = free_port()
        self._options = options
        settings = {
            "PORT": str(self.port),
            "BIND": "127.0.0.1",
            "DATA_DIR": str(folder / "data"),
            "POLL_INTERVAL": f"{options.interval:g}",
            "PERSIST_INTERVAL": f"{persist_interval:g}",
            "ALLOWED_DEVICE_NETWORKS": "127.0.0.0/8",
            "DISCOVERY_SUBNETS": "127.0.0.0/32",
            "DISCOVERY_PORTS": str(PORT),
            "NEIGHBOUR_TABLE": str(folder / "neighbours"),
            "MDNS": "false",
            "BENCH_WATCH": "on" if watched else "off",
            "HOME": str(folder),
        }
        if grafana:
            dashboards = {"GRAFANA_MODE": "file", "GRAFANA_DASHBOARDS_DIR": str(folder / "dashboards")}
            settings |= {"GF_HOST": grafana, **dashboards}
        self.part = Part("service", python("gunicorn", "-c", "tools/bench/gunicorn_conf.py"), folder, settings)

    def wait_until_ready(self) -> float:
        """Seconds from the start of the waiting."""
        return wait_for("the service", self._is_ready, READY_SECONDS, [self.part])

    def _is_ready(self) -> bool:
        try:
            return self.request("GET", "/readyz")[0] == 200
        except OSError:
            return False

    @property
    def master(self) -> int:
        return self.part.pid

    @property
    def worker(self) -> int:
        return children(self.master)[0]

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """Over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            headers = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def told(self, path: str) -> Any:
        status, body = self.request("GET", path)
        if status != 200:
            raise BenchFailed(f"GET {path} answered {status}")
        return json.loads(body)

    def imprint(self, miners: Miners) -> None:
        rows = [{"mac": mac, "ip": f"{ip}:{PORT}"} for mac, ip in zip(miners.macs, miners.addresses, strict=True)]
        for at in range(0, len(rows), IMPRINT_BATCH):
            status, body = self.request("PUT", "/devices/imprint", {"devices": rows[at : at + IMPRINT_BATCH]})
            if status != 200:
                raise BenchFailed(f"PUT /devices/imprint answered {status}: {body[:300]!r}")

    def wait_until_polled(self, seconds: float) -> float:
        """Until every healthy miner is online."""
        return wait_for("all miners to be online", self._all_online, seconds, [self.part])

    def _all_online(self) -> bool:
        return int(self.told("/bench/fleet")["online"]) >= self._options.healthy
