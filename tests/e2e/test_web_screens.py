"""Every screen of the web interface in Chromium: accessibility, layout, errors; and a fleet of 1,000 devices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from processes import JS, ROOT, ServiceProcess, SimulatorProcess, wait_for

SCRIPT_MS_PER_SECOND = 50
FIRST_PAINT_MS = 1500
HEAP_BYTES = 150e6
pytestmark = pytest.mark.timeout(300)


def run_script(script: str, *arguments: str) -> dict[str, Any]:
    """Run a script of js/ and return what it reports."""
    completed = subprocess.run(
        ["node", str(JS / script), *arguments], capture_output=True, text=True, timeout=280, check=False
    )
    assert completed.returncode == 0, completed.stderr
    return dict(json.loads(completed.stdout.splitlines()[-1]))


def test_every_screen_is_accessible_and_fits(
    start_service: Callable[..., ServiceProcess], miners: SimulatorProcess, tmp_path: Path
) -> None:
    """PICTURES names a folder for the pictures of README and docs."""
    subprocess.run([sys.executable, "-m", "tools.demo_history", str(tmp_path / "data")], cwd=ROOT, check=True)
    service = start_service(POLL_INTERVAL=1, **miners.settings())
    service.imprint_all_miners()
    service.wait_until_online()
    mac = next(each["mac"] for each in miners.list_miners() if each["generation"] == "2.15")
    service.call_api("PATCH", f"/devices/{mac}/system", {"info": {"frequency": 490}})
    miners.send_command(miners.list_miners()[-1]["mac"], "power_off")
    job = service.call_api("POST", "/jobs", {"action": "identify", "devices": [mac], "pauseSeconds": 0})["data"]["id"]
    pictures = os.environ.get("PICTURES", "")
    options = {"mac": mac, "job": job, "pictures": pictures and str(Path(pictures, "screens"))}
    results = run_script("web_screens.mjs", f"{service.url}/", json.dumps(options))
    assert results == {"faults": [], "violations": [], "findings": [], "wide": []}


@pytest.fixture
def thousand_miners(tmp_path: Path, exit_stack: ExitStack) -> Iterator[SimulatorProcess]:
    miners = SimulatorProcess(tmp_path, count=1000, log_rate=0, name="thousand")
    exit_stack.callback(miners.stop)
    miners.wait_until_ready()
    yield miners


def test_thousand_devices_stay_fast(
    start_service: Callable[..., ServiceProcess], thousand_miners: SimulatorProcess
) -> None:
    service = start_service(**thousand_miners.settings())
    devices = [{"mac": each["mac"], "ip": each["address"]} for each in thousand_miners.list_miners()]
    service.call_api("PUT", "/devices/imprint", {"devices": devices})
    wait_for("1,000 devices online", lambda: service.call_api("GET", "/about")["data"]["devices"]["online"] == 1000, 60)
    results = run_script("web_thousand.mjs", f"{service.url}/", "10")
    assert results["faults"] == results["violations"] == []
    assert results["paint"] <= FIRST_PAINT_MS
    assert results["rendered"] < 100  # of 1,000 rows
    assert results["changed"] > results["rendered"] / 2  # there were updates to show
    assert results["scrolled"] > 20  # and rows to scroll over
    assert results["updating"] <= SCRIPT_MS_PER_SECOND
    assert results["scrolling"] <= SCRIPT_MS_PER_SECOND
    assert results["heapBytes"] <= HEAP_BYTES
