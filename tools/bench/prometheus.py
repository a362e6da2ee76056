"""A Prometheus that scrapes the healthy ones of the same miners, as often and in the same mode."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tools.child_processes import ManagedProcess, find_free_port, wait_or_fail

from .http_probe import send_request
from .measurements import read_cpu_seconds, read_rss_bytes
from .miners import PORT, Miners
from .options import Options

READY_SECONDS = 60.0
CONFIG = """
scrape_configs:
  - job_name: miners
    scrape_interval: {interval:g}s
    scrape_timeout: {interval:g}s
    file_sd_configs: [{{files: ["{targets}"]}}]
"""


def measure_prometheus(options: Options, miners: Miners, folder: Path, stack: ExitStack) -> dict[str, Any]:
    server = f"127.0.0.1:{find_free_port()}"
    targets, config = folder / "targets.json", folder / "prometheus.yml"
    targets.write_text(json.dumps([{"targets": [f"{ip}:{PORT}" for ip in miners.healthy]}]))
    config.write_text(CONFIG.format(interval=options.interval, targets=targets))
    paths = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'prometheus'}"]
    process = ManagedProcess("prometheus", ["prometheus", *paths, f"--web.listen-address={server}"], folder)
    stack.enter_context(process)
    wait_or_fail(
        "the first scrape of all miners by Prometheus", lambda: _count_targets_up(server) >= options.healthy,
        READY_SECONDS + 2 * options.interval, process,
    )  # fmt: skip
    # Prometheus counts intervals between scrapes, so it counts none before the second scrape of a target.
    time.sleep(max(options.warmup, 2 * options.interval))
    started, cpu, scrapes = time.monotonic(), read_cpu_seconds(process.pid), _count_scrapes(server)
    time.sleep(options.seconds)
    return {
        "cpu": read_cpu_seconds(process.pid) - cpu,
        "seconds": time.monotonic() - started,
        "polls": _count_scrapes(server) - scrapes,
        "rss": read_rss_bytes(process.pid),
    }


def _count_targets_up(server: str) -> int:
    try:
        answer = send_request(server, f"/api/v1/query?query={quote('sum(up)')}")
    except OSError:  # It does not listen yet.
        return 0
    result = json.loads(answer.body)["data"]["result"] if answer.status == 200 else []
    return int(result[0]["value"][1]) if result else 0


def _count_scrapes(server: str) -> int:
    lines = send_request(server, "/metrics").body.decode().splitlines()
    count = "prometheus_target_interval_length_seconds_count{"
    return int(sum(float(line.split()[-1]) for line in lines if line.startswith(count)))
