"""The original's frontend, replayed by its requests as they come through the proxy that strips /api: lists, adds,
edits, restarts, removes. What it sends needlessly (whole objects, stale readings, its own options) is sent here too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from nginx import nginx
from processes import MINERS, Miners, Process, Service, wait_for


class Frontend:
    """Same origin as its page; never cookies, tokens or a preflight."""

    def __init__(self, proxy: str) -> None:
        self._proxy = proxy

    def send(self, method: str, path: str, body: Any = None) -> requests.Response:
        origin = {} if method == "GET" else {"Origin": self._proxy}
        return requests.request(method, f"{self._proxy}/api{path}", json=body, headers=origin, timeout=30)

    def data(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.send(method, path, body)
        assert answer.status_code == 200, answer.text
        parsed = answer.json()
        return parsed if isinstance(parsed, list) else parsed["data"]


@pytest.fixture
def frontend(miners: Miners, start: Callable[..., Service], run: Callable[..., Process], tmp_path: Path) -> Frontend:
    """Before anything was imprinted."""
    service = start(POLL_INTERVAL=1, **miners.settings())
    return Frontend(nginx(run, tmp_path, service.url))


def usable(device: dict[str, Any]) -> bool:
    """The frontend calls these without a guard."""
    info = device["info"]
    return isinstance(info["power"], int | float) and isinstance(info["stratumUser"], str)


def add_all(frontend: Frontend) -> list[str]:
    """One PATCH per device found, then PUT listen with all imprinted."""
    for device in frontend.data("GET", "/devices/discover"):
        imprinted = frontend.data("PATCH", "/devices/imprint", {"mac": device["mac"]})
    macs = [device["mac"] for device in imprinted]
    frontend.data("PUT", "/devices/listen", {"macs": macs})
    return macs


def all_online(frontend: Frontend) -> bool:
    return all(device["status"] == "online" for device in frontend.data("GET", "/devices/imprint"))


def test_adds_by_scan_and_by_form(frontend: Frontend, miners: Miners) -> None:
    assert frontend.data("GET", "/devices/imprint") == []
    assert frontend.data("GET", "/devices/discovered") == []
    one = miners.all()[0]
    form = f"/devices/discover?ip={one['address']}&mac={one['mac'].replace(':', '-').upper()}"
    assert [device["mac"] for device in frontend.data("GET", form)] == [one["mac"]]
    [device] = frontend.data("PATCH", "/devices/imprint", {"mac": one["mac"].upper()})
    assert device["ip"] == one["address"]
    assert usable(device)

    macs = add_all(frontend)
    assert sorted(macs) == sorted(each["mac"] for each in miners.all())
    wait_for("all online", lambda: all_online(frontend), 15)
    devices = frontend.data("GET", "/devices/imprint")
    assert all(usable(device) for device in devices)
    assert [device["createdAt"] for device in devices] == sorted((each["createdAt"] for each in devices), reverse=True)
    for device in devices:
        options = device["info"]["frequencyOptions"] + device["info"]["coreVoltageOptions"]
        assert options and all(set(option) == {"label", "value"} for option in options)
    assert frontend.send("GET", "/socket/io").json() == {"message": "Socket started listening to devices"}


def test_searches_at_every_keystroke(frontend: Frontend) -> None:
    add_all(frontend)
    wanted = next(device for device in frontend.data("GET", "/devices/imprint") if device["info"].get("hostname"))
    hostname = wanted["info"]["hostname"]
    for end in range(1, len(hostname) + 1):
        found = frontend.data("GET", f"/devices/imprint?q={hostname[:end]}")
        assert wanted["mac"] in [device["mac"] for device in found]
    assert frontend.data("GET", "/devices/imprint?q=nothing-like-it") == []


def test_saves_the_whole_object_with_its_stale_readings(frontend: Frontend) -> None:
    mac = add_all(frontend)[0]
    wait_for("all online", lambda: all_online(frontend), 15)
    device = frontend.data("GET", f"/devices/imprint/{mac}")
    stale = {**device, "presetUuid": None, "info": {**device["info"], "hashRate": 1, "power": 1}}
    saved = frontend.data("PATCH", f"/devices/imprint/{mac}", {"device": stale})
    assert saved["mac"] == mac
    assert saved["createdAt"] == device["createdAt"]
    assert saved["info"]["hashRate"] != 1
    assert "presetUuid" not in saved


def test_restarts_one_and_is_told_when_it_cannot(frontend: Frontend, miners: Miners) -> None:
    macs = add_all(frontend)
    wait_for("all online", lambda: all_online(frontend), 15)
    known = {each["mac"]: each for each in miners.all()}
    modern = next(mac for mac in macs if known[mac]["generation"] == "2.15")
    assert (
        frontend.send("POST", f"/devices/{modern}/system/restart").json()["message"] == "Device restarted successfully"
    )
    wait_for("the miner to come back", lambda: restarts(frontend, modern) == 1, 30)

    dead = next(mac for mac in macs if mac != modern)
    miners.tell(dead, "power_off")
    answer = frontend.send("POST", f"/devices/{dead}/system/restart")
    assert answer.status_code == 502
    assert answer.json()["message"] == answer.json()["error"] != ""


def restarts(frontend: Frontend, mac: str) -> int:
    """What /metrics counts; none while it is off."""
    lines = frontend.send("GET", "/metrics").text.splitlines()
    found = [line for line in lines if line.startswith("pluto_device_restarts_total{") and mac in line]
    return int(float(found[0].rpartition(" ")[2])) if found else 0


def test_removes(frontend: Frontend) -> None:
    macs = add_all(frontend)
    gone = macs[0]
    rest = [device["mac"] for device in frontend.data("GET", "/devices/imprint") if device["mac"] != gone]
    listened = frontend.data("PUT", "/devices/listen", {"macs": rest})
    assert sorted(device["mac"] for device in listened) == sorted(rest)
    assert frontend.data("DELETE", f"/devices/imprint/{gone}")["mac"] == gone
    assert frontend.send("GET", f"/devices/imprint/{gone}").status_code == 404
    assert len(frontend.data("GET", "/devices/imprint")) == MINERS - 1


def test_every_failure_has_a_message_to_show(frontend: Frontend) -> None:
    for method, path, body, status in (
        ("GET", "/devices/imprint/02:00:00:00:00:99", None, 404),
        ("PATCH", "/devices/imprint", {"mac": "02:00:00:00:00:99"}, 404),
        ("PUT", "/devices/imprint", {"macs": []}, 400),
        ("PUT", "/devices/listen", {"macs": 5}, 400),
        ("GET", "/devices/discover?ip=8.8.8.8", None, 400),
        ("GET", "/nowhere", None, 404),
        ("DELETE", "/devices/listen", None, 405),
    ):
        answer = frontend.send(method, path, body)
        assert answer.status_code == status, (method, path, answer.text)
        assert answer.json()["message"] == answer.json()["error"] != "", (method, path)
