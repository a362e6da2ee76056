"""A real Prometheus that scrapes the real service; E2E_PROMETHEUS_SECONDS=300 makes it scrape for longer."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from processes import MINER_COUNT, Process, ServiceProcess, SimulatorProcess, find_free_port, wait_for

SECONDS = int(os.environ.get("E2E_PROMETHEUS_SECONDS", "25"))

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: pluto
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""

ValuesByLabel = dict[str, float]


class Prometheus:
    def __init__(self, start_program: Callable[..., Process], folder: Path, service: ServiceProcess) -> None:
        config = folder / "prometheus.yml"
        config.write_text(CONFIG.format(port=service.port))
        listen = f"127.0.0.1:{find_free_port()}"
        self._url = f"http://{listen}/api/v1/query"
        self.process = start_program(
            "prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/tsdb",
            f"--web.listen-address={listen}"
        )  # fmt: skip

    def run_query(self, text: str, by: str = "mac") -> ValuesByLabel:
        """Return label value → number; the key is "" for a result without that label."""
        try:
            answer = requests.get(self._url, params={"query": text}, timeout=5).json()
        except requests.RequestException:
            return {}
        return {row["metric"].get(by, ""): float(row["value"][1]) for row in answer["data"]["result"]}


def is_near(value: float, expected: float, share: float = 0.2) -> bool:
    """Return whether the values are close: readings vary between two polls."""
    return abs(value - expected) <= share * abs(expected)


@pytest.mark.timeout(SECONDS + 120)
def test_series_have_no_gaps_match_the_miners_and_end_with_them(
    service: ServiceProcess, miners: SimulatorProcess, start_program: Callable[..., Process], tmp_path: Path
) -> None:
    prometheus = Prometheus(start_program, tmp_path, service)
    wait_for("the first scrape", lambda: prometheus.run_query("up").get("") == 1, 30)
    macs = {each["mac"] for each in miners.list_miners()}
    time.sleep(SECONDS)

    window = f"[{SECONDS - 2}s]"
    assert prometheus.run_query(f"min_over_time(up{window})") == {"": 1}
    scrapes = prometheus.run_query(f"count_over_time(up{window})")[""]
    assert scrapes >= 0.9 * (SECONDS - 2)
    for series in ("pluto_device_up", "pluto_device_hashrate_ghs", "pluto_device_power_watts"):
        assert prometheus.run_query(f"count_over_time({series}{window})") == dict.fromkeys(macs, scrapes), series
    assert prometheus.run_query("min_over_time(total_hardware[20s])") == {"": MINER_COUNT}
    assert prometheus.run_query("min_over_time(hardware_online[20s])") == {"": MINER_COUNT}

    miner_infos = {mac: miners.get_miner(mac)["info"] for mac in macs}
    power = prometheus.run_query("avg_over_time(pluto_device_power_watts[5s])")
    hashrate = prometheus.run_query("avg_over_time(pluto_device_hashrate_ghs[5s])")
    for mac, info in miner_infos.items():
        assert is_near(power[mac], float(info["power"])), mac
        assert is_near(hashrate[mac], float(info["hashRate"])), mac
    assert is_near(
        prometheus.run_query("total_power_watts")[""], sum(float(info["power"]) for info in miner_infos.values())
    )
    assert is_near(
        prometheus.run_query("sum(pluto_device_hashrate_ghs)")[""], prometheus.run_query("total_hashrate")[""]
    )
    assert prometheus.run_query("sum(pluto_polls_total{outcome='failed'})") == {"": 0}

    powered_off = min(macs)
    miners.send_command(powered_off, "power_off")
    is_down = wait_for("device_up 0", lambda: prometheus.run_query("pluto_device_up").get(powered_off) == 0, 15)
    assert is_down
    assert set(prometheus.run_query("pluto_device_hashrate_ghs")) == macs - {powered_off}
    assert prometheus.run_query("hardware_offline") == {"": 1}
    miners.send_command(powered_off, "power_on")
    wait_for("the series to return", lambda: powered_off in prometheus.run_query("pluto_device_hashrate_ghs"), 30)


def check_metrics(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)


def read_metrics(service: ServiceProcess) -> str:
    answer = requests.get(f"{service.url}/metrics", timeout=10)
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.text


def test_promtool_reports_no_problem_without_the_legacy_names(
    miners: SimulatorProcess, start_service: Callable[..., ServiceProcess]
) -> None:
    service = start_service(METRICS_LEGACY_NAMES="false", **miners.settings())
    service.imprint_all_miners()
    service.wait_until_online()
    completed = check_metrics(read_metrics(service))
    assert (completed.returncode, completed.stdout + completed.stderr) == (0, "")


def test_legacy_metric_names_parse_with_hostile_hostnames(
    miners: SimulatorProcess, start_service: Callable[..., ServiceProcess]
) -> None:
    """Hostnames that promtool's style rules dislike (`BitAxe`, `miner_ms`) or that try to break out of a label."""
    service = start_service(POLL_INTERVAL=1, **miners.settings())
    hostnames = {"BitAxe", "miner_ms", "7up", 'x"} 1\nup 99', "total", "\\"}
    reporting = [each["mac"] for each in miners.list_miners() if each["generation"] not in ("2.1", "2.4")]
    for mac, hostname in zip(reporting, sorted(hostnames), strict=False):
        miners.send_command(mac, "fault", fault="hostname", hostname=hostname)
    service.imprint_all_miners()
    service.wait_until_online()
    text = read_metrics(service)
    completed: Any = check_metrics(text)
    assert "error while" not in completed.stderr
    assert completed.returncode in (0, 3)  # 3: it parses, with warnings about its style
    assert "\nBitAxe_power_watts " in text
    assert "\nminer_ms_power_watts " in text
    assert "\n_7up_power_watts " in text
    assert "\nup 99" not in text
