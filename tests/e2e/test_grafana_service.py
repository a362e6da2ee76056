"""The service as a process, with the settings of compose.yaml, and the fake Grafana of the contract."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from fake_grafana import FakeGrafana
from processes import MINER_COUNT, ServiceProcess, SimulatorProcess, wait_for


@pytest.fixture
def grafana(tmp_path: Path) -> Iterator[FakeGrafana]:
    """A fake Grafana below /grafana that is provisioned from a folder and accepts the proxy's login header."""
    fake = FakeGrafana("/grafana")
    fake.proxy_user, fake.provisioning_folder = "admin", tmp_path / "dashboards"
    yield fake.start()
    fake.stop()


def grafana_settings(grafana: FakeGrafana, miners: SimulatorProcess) -> dict[str, Any]:
    return {
        "GF_HOST": grafana.url,
        "GRAFANA_DASHBOARDS_DIR": grafana.provisioning_folder,
        "METRICS_LEGACY_NAMES": "false",
        "POLL_INTERVAL": 1,
        **miners.settings(),
    }


def list_public_links(service: ServiceProcess) -> dict[str, str]:
    return {row["uid"]: row["publicUrl"] for row in service.call_api("GET", "/dashboards")}


def test_public_links_are_published_and_survive_restarts_of_both(
    grafana: FakeGrafana, miners: SimulatorProcess, start_service: Callable[..., ServiceProcess]
) -> None:
    service = start_service(**grafana_settings(grafana, miners))
    service.imprint_all_miners()
    service.wait_until_online()
    dashboards_folder = grafana.provisioning_folder
    assert dashboards_folder
    wait_for("the files", lambda: len(list(dashboards_folder.glob("*.json"))) == MINER_COUNT + 1, 20)
    grafana.load_provisioned_files()
    before = wait_for(
        "the links",
        lambda: list_public_links(service) if len(list_public_links(service)) == MINER_COUNT + 1 else None,
        40,
    )
    service.signal(15)
    assert service.wait(5) == 0

    grafana.reset_database()
    grafana.load_provisioned_files()
    restarted = start_service(**grafana_settings(grafana, miners))
    assert list_public_links(restarted) == before, "the links are known before the first request to Grafana"
    wait_for("all to be public", lambda: len(grafana.list_public_tokens()) == MINER_COUNT + 1, 40)
    assert list_public_links(restarted) == before
    text = requests.get(f"{restarted.url}/metrics", timeout=10).text
    assert "\npluto_grafana_up 1.0\n" in text
    lint = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)
    assert (lint.returncode, lint.stdout + lint.stderr) == (0, "")
    assert "Traceback" not in restarted.read_output()


def test_slow_grafana_delays_neither_start_nor_shutdown(
    grafana: FakeGrafana, miners: SimulatorProcess, start_service: Callable[..., ServiceProcess]
) -> None:
    grafana.fault = "slow"
    service = start_service(**grafana_settings(grafana, miners))
    service.imprint_all_miners()
    service.wait_until_online()
    wait_for("a call", lambda: sum(grafana.calls.values()), 10)
    wait_for("the failure", lambda: "Grafana is unavailable" in service.read_output(), 10)
    assert list_public_links(service) == {}
    grafana.calls.clear()
    wait_for("another call", lambda: sum(grafana.calls.values()), 15)
    began = time.monotonic()
    service.signal(15)
    assert service.wait(5) == 0
    assert time.monotonic() - began < 5
    assert "Traceback" not in service.read_output()
