"""The web interface in Chromium shows what miners report as text, never as markup: see js/web_hostile.mjs."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import requests
from processes import MINER_COUNT, ServiceProcess, SimulatorProcess, wait_for
from test_web_screens import run_script

MARKS = {
    name: f"<img src={name} onerror=window.taken=1>"
    for name in ("hostname", "pool", "log", "tag", "preset", "stranger")
}
pytestmark = pytest.mark.timeout(200)


def test_markup_of_miners_is_text(start_service: Callable[..., ServiceProcess], miners: SimulatorProcess) -> None:
    service = start_service(POLL_INTERVAL=1, **miners.settings())
    device, stranger = [each for each in miners.list_miners() if each["generation"] in ("2.12", "2.15")][:2]
    mac = device["mac"]
    pool = {"stratumURL": MARKS["pool"], "stratumPort": 3333}
    assert requests.patch(f"http://{device['address']}/api/system", json=pool, timeout=10).ok
    miners.send_command(mac, "restart")
    miners.send_command(mac, "fault", fault="hostname", hostname=MARKS["hostname"])
    miners.send_command(stranger["mac"], "fault", fault="hostname", hostname=MARKS["stranger"])
    registered = [each for each in miners.list_miners() if each["mac"] != stranger["mac"]]
    devices = [{"mac": each["mac"], "ip": each["address"]} for each in registered]
    service.call_api("PUT", "/devices/imprint", {"devices": devices})
    service.wait_until_online(MINER_COUNT - 1)
    service.call_api("PATCH", f"/devices/imprint/{mac}", {"device": {"tags": [MARKS["tag"]]}})
    service.call_api("POST", "/presets", {"name": MARKS["preset"], "configuration": {"temptarget": 55}})
    job = service.call_api("POST", "/jobs", {"action": "identify", "devices": [mac], "pauseSeconds": 0})["data"]["id"]
    wait_for(
        "the end of the job",
        lambda: service.call_api("GET", f"/jobs/{job}")["data"]["state"] != "running",
        60,
    )
    options = {"mac": mac, "job": job, "marks": MARKS, "miner": f"{miners.control_url}/{mac}"}
    results = run_script("web_hostile.mjs", f"{service.url}/", json.dumps(options))
    assert results == {"faults": [], "violations": [], "findings": [], "elements": []}
