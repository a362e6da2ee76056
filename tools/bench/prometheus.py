"""A Prometheus that scrapes the same miners, the healthy ones, as often and in the same mode. Where it is installed."""

from __future__ import annotations

import http.client
import json
import shutil
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .miners import PORT, Miners
from .options import Options
from .proc import cpu_seconds, rss_bytes
from .processes import Part, free_port, wait_for

READY_SECONDS = 60.0
CONFIG = """
scrape_configs:
  - job_name: miners
    scrape_interval: {interval:g}s
    scrape_timeout: {interval:g}s
    file_sd_configs: [{{files: ["{targets}"]}}]
"""
_SCRAPES = "prometheus_target_interval_length_seconds_count{"


class Prometheus:
    """Starts in the constructor."""

    def __init__(self, options: Options, miners: Miners, folder: Path) -> None:
        self._options = options
        self._port = free_port()
        targets = folder / "targets.json"
        targets.write_text(json.dumps([{"targets": [f"{ip}:{PORT}" for ip in miners.healthy]}]))
        config = folder / "prometheus.yml"
        config.write_text(CONFIG.format(interval=options.interval, targets=targets))
        listen = f"--web.listen-address=127.0.0.1:{self._port}"
        arguments = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'prometheus'}", listen]
        self.part = Part("prometheus", ["prometheus", *arguments], folder)

    def measure(self) -> dict[str, Any]:
        patience = READY_SECONDS + 2 * self._options.interval
        wait_for("Prometheus to reach the miners", self._reaches_all, patience, [self.part])
        # It counts intervals, so none before a target's second scrape.
        time.sleep(max(self._options.warmup, 2 * self._options.interval))
        began, cpu, scrapes = time.monotonic(), cpu_seconds(self.part.pid), self._scrapes()
        time.sleep(self._options.seconds)
        return {
            "cpu": cpu_seconds(self.part.pid) - cpu,
            "seconds": time.monotonic() - began,
            "polls": self._scrapes() - scrapes,
            "rss": rss_bytes(self.part.pid),
        }

    def _reaches_all(self) -> bool:
        try:
            return self._up() >= self._options.healthy
        except OSError:  # it does not listen yet
            return False

    def _get(self, path: str) -> str | None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read().decode()
            return text if answer.status == 200 else None
        finally:
            connection.close()

    def _scrapes(self) -> int:
        rows = (self._get("/metrics") or "").splitlines()
        return int(sum(float(row.split()[-1]) for row in rows if row.startswith(_SCRAPES)))

    def _up(self) -> int:
        told = json.loads(self._get(f"/api/v1/query?query={quote('sum(up)')}") or "{}")
        found = told.get("data", {}).get("result", [])
        return int(found[0]["value"][1]) if found else 0

    def stop(self) -> None:
        self.part.stop()


def installed() -> bool:
    return shutil.which("prometheus") is not None
