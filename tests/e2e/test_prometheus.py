"""A real Prometheus scraping the real service. E2E_PROMETHEUS_SECONDS=300 makes the watch as long as one likes."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from processes import MINERS, Miners, Process, Service, free_port, wait_for

SECONDS = int(os.environ.get("E2E_PROMETHEUS_SECONDS", "25"))

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: pluto
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""

Rows = dict[str, float]


class Prometheus:
    def __init__(self, run: Callable[..., Process], folder: Path, service: Service) -> None:
        config = folder / "prometheus.yml"
        config.write_text(CONFIG.format(port=service.port))
        listen = f"127.0.0.1:{free_port()}"
        self._url = f"http://{listen}/api/v1/query"
        self.process = run(
            "prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/tsdb",
            f"--web.listen-address={listen}"
        )  # fmt: skip

    def query(self, text: str, by: str = "mac") -> Rows:
        """Label value → number; a result without that label stands under ""."""
        try:
            answer = requests.get(self._url, params={"query": text}, timeout=5).json()
        except requests.RequestException:
            return {}
        return {row["metric"].get(by, ""): float(row["value"][1]) for row in answer["data"]["result"]}


def near(value: float, truth: float, share: float = 0.2) -> bool:
    """Readings move between two looks."""
    return abs(value - truth) <= share * abs(truth)


@pytest.mark.timeout(SECONDS + 120)
def test_no_gap_true_values_and_no_ghosts(
    service: Service, miners: Miners, run: Callable[..., Process], tmp_path: Path
) -> None:
    prometheus = Prometheus(run, tmp_path, service)
    wait_for("the first scrape", lambda: prometheus.query("up").get("") == 1, 30)
    macs = {each["mac"] for each in miners.all()}
    time.sleep(SECONDS)

    window = f"[{SECONDS - 2}s]"
    assert prometheus.query(f"min_over_time(up{window})") == {"": 1}
    scrapes = prometheus.query(f"count_over_time(up{window})")[""]
    assert scrapes >= 0.9 * (SECONDS - 2)
    for series in ("pluto_device_up", "pluto_device_hashrate_ghs", "pluto_device_power_watts"):
        assert prometheus.query(f"count_over_time({series}{window})") == dict.fromkeys(macs, scrapes), series
    assert prometheus.query("min_over_time(total_hardware[20s])") == {"": MINERS}
    assert prometheus.query("min_over_time(hardware_online[20s])") == {"": MINERS}

    truth = {mac: miners.one(mac)["info"] for mac in macs}
    power = prometheus.query("avg_over_time(pluto_device_power_watts[5s])")
    hashrate = prometheus.query("avg_over_time(pluto_device_hashrate_ghs[5s])")
    for mac, info in truth.items():
        assert near(power[mac], float(info["power"])), mac
        assert near(hashrate[mac], float(info["hashRate"])), mac
    assert near(prometheus.query("total_power_watts")[""], sum(float(info["power"]) for info in truth.values()))
    assert near(prometheus.query("sum(pluto_device_hashrate_ghs)")[""], prometheus.query("total_hashrate")[""])
    assert prometheus.query("sum(pluto_polls_total{outcome='failed'})") == {"": 0}

    lost = min(macs)
    miners.tell(lost, "power_off")
    gone = wait_for("device_up 0", lambda: prometheus.query("pluto_device_up").get(lost) == 0, 15)
    assert gone
    assert set(prometheus.query("pluto_device_hashrate_ghs")) == macs - {lost}
    assert prometheus.query("hardware_offline") == {"": 1}
    miners.tell(lost, "power_on")
    wait_for("its return", lambda: lost in prometheus.query("pluto_device_hashrate_ghs"), 30)


def promtool(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)


def metrics(service: Service) -> str:
    answer = requests.get(f"{service.url}/metrics", timeout=10)
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.text


def test_promtool_finds_nothing_to_say(miners: Miners, start: Callable[..., Service]) -> None:
    service = start(METRICS_LEGACY_NAMES="false", **miners.settings())
    service.imprint_all()
    service.wait_until_online()
    checked = promtool(metrics(service))
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_legacy_names_parse_with_hostile_hostnames(miners: Miners, start: Callable[..., Service]) -> None:
    """Hostnames that promtool's style rules dislike (`BitAxe`, `miner_ms`) or that try to break out of a label."""
    service = start(POLL_INTERVAL=1, **miners.settings())
    named = {"BitAxe", "miner_ms", "7up", 'x"} 1\nup 99', "total", "\\"}
    reporting = [each["mac"] for each in miners.all() if each["generation"] not in ("2.1", "2.4")]
    for mac, hostname in zip(reporting, sorted(named), strict=False):
        miners.tell(mac, "fault", fault="hostname", hostname=hostname)
    service.imprint_all()
    service.wait_until_online()
    text = metrics(service)
    checked: Any = promtool(text)
    assert "error while" not in checked.stderr
    assert checked.returncode in (0, 3)  # 3: it parses, and its style is not liked
    assert "\nBitAxe_power_watts " in text
    assert "\nminer_ms_power_watts " in text
    assert "\n_7up_power_watts " in text
    assert "\nup 99" not in text
