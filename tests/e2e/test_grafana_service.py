"""The service as a process, with the settings that compose.yaml gives it, and the contract fake in Grafana's place."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from fake_grafana import FakeGrafana
from processes import MINERS, Miners, Service, wait_for


@pytest.fixture
def grafana(tmp_path: Path) -> Iterator[FakeGrafana]:
    """Below /grafana, provisioned from a folder, believing the proxy's header."""
    made = FakeGrafana("/grafana")
    made.proxy_user, made.provisions = "admin", tmp_path / "dashboards"
    yield made.start()
    made.stop()


def settings(grafana: FakeGrafana, miners: Miners) -> dict[str, Any]:
    return {
        "GF_HOST": grafana.url,
        "GRAFANA_DASHBOARDS_DIR": grafana.provisions,
        "METRICS_LEGACY_NAMES": "false",
        "POLL_INTERVAL": 1,
        **miners.settings(),
    }


def links(service: Service) -> dict[str, str]:
    return {row["uid"]: row["publicUrl"] for row in service.call("GET", "/dashboards")}


def test_a_fleet_gets_its_links_and_keeps_them(
    grafana: FakeGrafana, miners: Miners, start: Callable[..., Service]
) -> None:
    service = start(**settings(grafana, miners))
    service.imprint_all()
    service.wait_until_online()
    folder = grafana.provisions
    assert folder
    wait_for("the files", lambda: len(list(folder.glob("*.json"))) == MINERS + 1, 20)
    grafana.tick()
    before = wait_for("the links", lambda: links(service) if len(links(service)) == MINERS + 1 else None, 40)
    service.signal(15)
    assert service.wait(5) == 0

    grafana.wipe()
    grafana.tick()
    again = start(**settings(grafana, miners))
    assert links(again) == before, "before Grafana was asked"
    wait_for("all to be public", lambda: len(grafana.public_links()) == MINERS + 1, 40)
    assert links(again) == before
    text = requests.get(f"{again.url}/metrics", timeout=10).text
    assert "\npluto_grafana_up 1.0\n" in text
    lint = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)
    assert (lint.returncode, lint.stdout + lint.stderr) == (0, "")
    assert "Traceback" not in again.text()


def test_a_grafana_that_drips_holds_up_neither_start_nor_stop(
    grafana: FakeGrafana, miners: Miners, start: Callable[..., Service]
) -> None:
    grafana.fault = "slow"
    service = start(**settings(grafana, miners))
    service.imprint_all()
    service.wait_until_online()
    wait_for("a call", lambda: sum(grafana.calls.values()), 10)
    wait_for("the failure", lambda: "Grafana is unavailable" in service.text(), 10)
    assert links(service) == {}
    grafana.calls.clear()
    wait_for("another call", lambda: sum(grafana.calls.values()), 15)
    began = time.monotonic()
    service.signal(15)
    assert service.wait(5) == 0
    assert time.monotonic() - began < 5
    assert "Traceback" not in service.text()
