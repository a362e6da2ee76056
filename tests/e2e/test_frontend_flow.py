"""The requests of the Node project's frontend, through the proxy that strips /api: list, add, edit, restart, remove.

The superfluous parts that it sends (whole objects, stale readings, its own options) are sent here too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from nginx import start_nginx
from processes import MINER_COUNT, Process, ServiceProcess, SimulatorProcess, wait_for


class Frontend:
    """A client like the frontend: the origin of its own page; no cookies, no token, no preflight."""

    def __init__(self, proxy: str) -> None:
        self._proxy = proxy

    def send_request(self, method: str, path: str, body: Any = None) -> requests.Response:
        origin = {} if method == "GET" else {"Origin": self._proxy}
        return requests.request(method, f"{self._proxy}/api{path}", json=body, headers=origin, timeout=30)

    def read_data(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.send_request(method, path, body)
        assert answer.status_code == 200, answer.text
        parsed = answer.json()
        return parsed if isinstance(parsed, list) else parsed["data"]


@pytest.fixture
def frontend(
    miners: SimulatorProcess,
    start_service: Callable[..., ServiceProcess],
    start_program: Callable[..., Process],
    tmp_path: Path,
) -> Frontend:
    """The frontend of a service without registered devices."""
    service = start_service(POLL_INTERVAL=1, **miners.settings())
    return Frontend(start_nginx(start_program, tmp_path, service.url))


def has_required_fields(device: dict[str, Any]) -> bool:
    """Return whether the fields are there that the frontend reads without a check."""
    info = device["info"]
    return isinstance(info["power"], int | float) and isinstance(info["stratumUser"], str)


def add_all_devices(frontend: Frontend) -> list[str]:
    """Send one PATCH per discovered device, then PUT listen with all registered devices."""
    for device in frontend.read_data("GET", "/devices/discover"):
        imprinted = frontend.read_data("PATCH", "/devices/imprint", {"mac": device["mac"]})
    macs = [device["mac"] for device in imprinted]
    frontend.read_data("PUT", "/devices/listen", {"macs": macs})
    return macs


def are_all_online(frontend: Frontend) -> bool:
    return all(device["status"] == "online" for device in frontend.read_data("GET", "/devices/imprint"))


def test_devices_are_added_by_scan_and_by_address(frontend: Frontend, miners: SimulatorProcess) -> None:
    assert frontend.read_data("GET", "/devices/imprint") == []
    assert frontend.read_data("GET", "/devices/discovered") == []
    one = miners.list_miners()[0]
    form = f"/devices/discover?ip={one['address']}&mac={one['mac'].replace(':', '-').upper()}"
    assert [device["mac"] for device in frontend.read_data("GET", form)] == [one["mac"]]
    [device] = frontend.read_data("PATCH", "/devices/imprint", {"mac": one["mac"].upper()})
    assert device["ip"] == one["address"]
    assert has_required_fields(device)

    macs = add_all_devices(frontend)
    assert sorted(macs) == sorted(each["mac"] for each in miners.list_miners())
    wait_for("all online", lambda: are_all_online(frontend), 15)
    devices = frontend.read_data("GET", "/devices/imprint")
    assert all(has_required_fields(device) for device in devices)
    assert [device["createdAt"] for device in devices] == sorted((each["createdAt"] for each in devices), reverse=True)
    for device in devices:
        options = device["info"]["frequencyOptions"] + device["info"]["coreVoltageOptions"]
        assert options and all(set(option) == {"label", "value"} for option in options)
    assert frontend.send_request("GET", "/socket/io").json() == {"message": "Socket started listening to devices"}


def test_search_finds_a_device_at_every_keystroke(frontend: Frontend) -> None:
    add_all_devices(frontend)
    wanted = next(device for device in frontend.read_data("GET", "/devices/imprint") if device["info"].get("hostname"))
    hostname = wanted["info"]["hostname"]
    for end in range(1, len(hostname) + 1):
        found = frontend.read_data("GET", f"/devices/imprint?q={hostname[:end]}")
        assert wanted["mac"] in [device["mac"] for device in found]
    assert frontend.read_data("GET", "/devices/imprint?q=nothing-like-it") == []


def test_saving_a_whole_device_ignores_its_stale_readings(frontend: Frontend) -> None:
    mac = add_all_devices(frontend)[0]
    wait_for("all online", lambda: are_all_online(frontend), 15)
    device = frontend.read_data("GET", f"/devices/imprint/{mac}")
    stale = {**device, "presetUuid": None, "info": {**device["info"], "hashRate": 1, "power": 1}}
    saved = frontend.read_data("PATCH", f"/devices/imprint/{mac}", {"device": stale})
    assert saved["mac"] == mac
    assert saved["createdAt"] == device["createdAt"]
    assert saved["info"]["hashRate"] != 1
    assert "presetUuid" not in saved


def test_restart_succeeds_or_is_502_when_the_miner_is_off(frontend: Frontend, miners: SimulatorProcess) -> None:
    macs = add_all_devices(frontend)
    wait_for("all online", lambda: are_all_online(frontend), 15)
    known = {each["mac"]: each for each in miners.list_miners()}
    modern = next(mac for mac in macs if known[mac]["generation"] == "2.15")
    assert (
        frontend.send_request("POST", f"/devices/{modern}/system/restart").json()["message"]
        == "Device restarted successfully"
    )
    wait_for("the miner to come back", lambda: count_restarts(frontend, modern) == 1, 30)

    powered_off = next(mac for mac in macs if mac != modern)
    miners.send_command(powered_off, "power_off")
    answer = frontend.send_request("POST", f"/devices/{powered_off}/system/restart")
    assert answer.status_code == 502
    assert answer.json()["message"] == answer.json()["error"] != ""


def count_restarts(frontend: Frontend, mac: str) -> int:
    """Return the number of restarts in /metrics; 0 while the miner is off."""
    lines = frontend.send_request("GET", "/metrics").text.splitlines()
    found = [line for line in lines if line.startswith("pluto_device_restarts_total{") and mac in line]
    return int(float(found[0].rpartition(" ")[2])) if found else 0


def test_removed_device_is_404_and_the_others_stay(frontend: Frontend) -> None:
    macs = add_all_devices(frontend)
    removed = macs[0]
    rest = [device["mac"] for device in frontend.read_data("GET", "/devices/imprint") if device["mac"] != removed]
    listened = frontend.read_data("PUT", "/devices/listen", {"macs": rest})
    assert sorted(device["mac"] for device in listened) == sorted(rest)
    assert frontend.read_data("DELETE", f"/devices/imprint/{removed}")["mac"] == removed
    assert frontend.send_request("GET", f"/devices/imprint/{removed}").status_code == 404
    assert len(frontend.read_data("GET", "/devices/imprint")) == MINER_COUNT - 1


def test_every_error_answer_has_a_message(frontend: Frontend) -> None:
    for method, path, body, status in (
        ("GET", "/devices/imprint/02:00:00:00:00:99", None, 404),
        ("PATCH", "/devices/imprint", {"mac": "02:00:00:00:00:99"}, 404),
        ("PUT", "/devices/imprint", {"macs": []}, 400),
        ("PUT", "/devices/listen", {"macs": 5}, 400),
        ("GET", "/devices/discover?ip=8.8.8.8", None, 400),
        ("GET", "/nowhere", None, 404),
        ("DELETE", "/devices/listen", None, 405),
    ):
        answer = frontend.send_request(method, path, body)
        assert answer.status_code == status, (method, path, answer.text)
        assert answer.json()["message"] == answer.json()["error"] != "", (method, path)
