"""The service under gunicorn with everything switched on, the Grafana that it publishes to, and the measured window."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from hashlib import md5
from pathlib import Path
from threading import Thread
from typing import Any

from flask import Flask
from werkzeug.serving import make_server

from tools.child_processes import PYTHON, ManagedProcess, find_free_port
from tools.http_requests import fetch_json

from . import measurements
from .measurements import summarize_samples
from .miners import PORT, Miners
from .options import Options

REGISTRATION_BATCH = 500
SAMPLE_SECONDS = 0.5
FLUSH_TAIL_SECONDS = 5.0  # LevelDB continues to compact after a flush.
DAY_SECONDS = 86400.0
DEFAULT_PERSIST_SECONDS = 900.0


class FakeGrafana:
    """A Grafana on which every dashboard already exists and is public: the state on all days but the first.

    It serves until the process ends. `requested` are the uids of the dashboards that the service asked for.
    """

    def __init__(self) -> None:
        self.requested: set[str] = set()
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # No access log.
        app = Flask("grafana")
        app.add_url_rule("/api/dashboards/uid/<uid>/public-dashboards", view_func=self._describe_dashboard)
        server = make_server("127.0.0.1", 0, app, threaded=True)
        self.url = f"http://127.0.0.1:{server.port}"
        Thread(target=server.serve_forever, daemon=True).start()

    def _describe_dashboard(self, uid: str) -> dict[str, Any]:
        self.requested.add(uid)
        digest = md5(uid.encode(), usedforsecurity=False).hexdigest()
        return {"uid": f"p{digest[:12]}", "dashboardUid": uid, "accessToken": digest, "isEnabled": True}


class Service(ManagedProcess):
    """Runs the service; `pid` is that of the gunicorn master."""

    def __init__(
        self, options: Options, folder: Path, grafana: str, persist_interval: float, *, watch: bool,
        name: str = "service", more: Mapping[str, str],
    ) -> None:  # fmt: skip
        self.port = find_free_port()
        self.server = f"127.0.0.1:{self.port}"
        self._options = options
        settings = {
            "PORT": str(self.port),
            "BIND": "127.0.0.1",
            "DATA_DIR": f"{folder}/data",
            "POLL_INTERVAL": f"{options.interval:g}",
            "PERSIST_INTERVAL": f"{persist_interval:g}",
            "ALLOWED_DEVICE_NETWORKS": "127.0.0.0/8",
            "DISCOVERY_SUBNETS": "127.0.0.0/32",
            "DISCOVERY_PORTS": str(PORT),
            "NEIGHBOUR_TABLE": f"{folder}/neighbours",
            "MDNS": "false",
            "BENCH_WATCH": "on" if watch else "off",
            "HOME": str(folder),
        }
        if options.dashboards:
            settings |= {"GF_HOST": grafana, "GRAFANA_MODE": "file", "GRAFANA_DASHBOARDS_DIR": f"{folder}/dashboards"}
        arguments = [*PYTHON, "gunicorn", "-c", "tools/bench/gunicorn_conf.py"]
        super().__init__(name, arguments, folder, os.environ | settings | dict(more))

    def is_fleet_online(self) -> bool:
        """Return whether all healthy miners are online."""
        return int(self.fetch_json("/bench/fleet")["online"]) >= self._options.healthy

    @property
    def worker_pid(self) -> int:
        return measurements.read_child_pids(self.pid)[0]

    def fetch_json(self, path: str) -> Any:
        return fetch_json(self.server, path)

    def count_polls(self) -> int:
        """Return the number of successful polls since the start."""
        return int(self.fetch_json("/bench")["counters"]["ok"])

    def register_miners(self, miners: Miners) -> None:
        rows = [{"mac": mac, "ip": f"{ip}:{PORT}"} for mac, ip in zip(miners.macs, miners.addresses, strict=True)]
        for first in range(0, len(rows), REGISTRATION_BATCH):
            batch = {"devices": rows[first : first + REGISTRATION_BATCH]}
            fetch_json(self.server, "/devices/imprint", "PUT", batch)

    def measure_window(self, others: list[ManagedProcess]) -> dict[str, Any]:
        """Sleep through the measured window and return its figures.

        `others` must not end in it. Their CPU time is reported, too, because it was not available to the service.
        """
        pid, other_pids = self.worker_pid, [process.pid for process in others]
        counters = self.fetch_json("/bench")["counters"]
        before, others_before = measurements.read_usage(pid), sum(map(measurements.read_cpu_seconds, other_pids))
        writes = _sample_writes(pid, before.time + self._options.seconds, others)
        after, others_after = measurements.read_usage(pid), sum(map(measurements.read_cpu_seconds, other_pids))
        report = self.fetch_json("/bench")
        counters = {name: int(value - counters[name]) for name, value in report["counters"].items()}
        return {
            **measurements.compare_usage(before, after, counters["ok"]),
            "counters": counters,
            "ideal_polls_per_s": self._options.healthy / self._options.interval,
            "late_ms": summarize_samples(report["late"], 50, 99, scale=1e3),
            "late_answering_ms": summarize_samples(report["late_answering"], 50, 99, scale=1e3),
            "core_percent_beside": 100 * (others_after - others_before) / (after.time - before.time),
            "rss_start": before.rss,
            "rss_master": measurements.read_rss_bytes(self.pid),
            "pss": measurements.read_pss_bytes(pid),
            "pss_master": measurements.read_pss_bytes(self.pid),
            "pss_both": measurements.read_pss_bytes(pid, self.pid),
            "lost": report["lost"],
            "flush_ms": summarize_samples((end - start for start, end in report["flushes"]), 50, scale=1e3),
            "written": extrapolate_writes(writes, report["flushes"]),
        }


def _sample_writes(pid: int, until: float, others: list[ManagedProcess]) -> list[tuple[float, int]]:
    """Return pairs of time and bytes written so far, until the end of the window."""
    samples = [(time.monotonic(), measurements.read_written_bytes(pid))]
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(SAMPLE_SECONDS, left))
        samples.append((time.monotonic(), measurements.read_written_bytes(pid)))
        for process in others:
            process.check_running()
    return samples


def extrapolate_writes(samples: list[tuple[float, int]], flushes: list[list[float]]) -> dict[str, Any]:
    """Return bytes written per flush, per second between flushes, and per day.

    The window has more flushes than a day with the default PERSIST_INTERVAL. Therefore the bytes of a flush and the 5 s
    after it count 96 times a day, all others for the seconds in which they were written.
    """
    flushed, flushing, rest = 0, 0.0, 0
    for (start, before), (end, after) in zip(samples, samples[1:], strict=False):
        if any(start < flush_end + FLUSH_TAIL_SECONDS and end > flush_start for flush_start, flush_end in flushes):
            flushed, flushing = flushed + after - before, flushing + end - start
        else:
            rest += after - before
    quiet = samples[-1][0] - samples[0][0] - flushing
    per_flush = flushed / len(flushes) if flushes else None
    per_second = rest / quiet if quiet > 1 else None
    per_day = None
    if per_flush is not None and per_second is not None:
        per_day = per_flush * DAY_SECONDS / DEFAULT_PERSIST_SECONDS + per_second * DAY_SECONDS
    return {"flushes": len(flushes), "per_flush": per_flush, "per_second_between": per_second, "per_day": per_day}
