"""`python -m tools.api_examples`: records one example of every operation from a running service.

It starts simulated miners and the service in a temporary directory, on loopback, and sends one request per operation.
Long answers are shortened. The result is app/schemas/examples.json: the OpenAPI document contains it, and docs/api.md
shows it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import requests

from app.blueprints.openapi import EXAMPLES_FILE

from .child_processes import PYTHON, ManagedProcess, drop_service_settings, find_free_port, wait_until
from .http_requests import is_ready

ADDRESS = "127.77.0.1"
NETWORK = "127.77.0.0/28"
MINER_PORT = 8100
LIST_ITEMS = 2
OBJECT_KEYS = 14
TEXT_CHARACTERS = 400
SHORTENED_OBJECTS = ("info", "settings")
NAMES = ("mac", "second", "third", "drifted", "repaired", "other")
# Drift counts half a minute after a write at the earliest.
DRIFT_SECONDS = 35.0


@dataclass(frozen=True)
class Call:
    """One request. `key`: the operation; `path`: with its parameters, which may name values of earlier answers."""

    key: str
    path: str
    body: Any = None


# In an order in which each has what it needs. Names in braces are filled in.
CALLS = (
    Call("POST /devices/scan", "/devices/scan"),
    Call("GET /devices/discover", "/devices/discover"),
    Call("GET /devices/scan", "/devices/scan"),
    Call("GET /devices/discovered", "/devices/discovered"),
    Call("PUT /devices/ignored/{mac}", "/devices/ignored/{other}"),
    Call("GET /devices/ignored", "/devices/ignored"),
    Call("DELETE /devices/ignored/{mac}", "/devices/ignored/{other}"),
    Call("PUT /devices/imprint", "/devices/imprint", {"macs": ["{mac}", "{second}", "{drifted}", "{repaired}"]}),
    Call("PATCH /devices/imprint", "/devices/imprint", {"mac": "{third}"}),
    Call(
        "PUT /devices/listen", "/devices/listen", {"macs": ["{mac}", "{second}", "{third}", "{drifted}", "{repaired}"]}
    ),
    Call("PATCH /devices/imprint/{mac}", "/devices/imprint/{mac}", {"device": {"name": "Attic", "tags": ["home"]}}),
    Call("GET /devices", "/devices?state=online&sort=-hashrateGhs&limit=2"),
    Call("GET /devices/imprint", "/devices/imprint?q=attic"),
    Call("GET /devices/imprint/{mac}", "/devices/imprint/{mac}"),
    Call("GET /devices/{mac}/options", "/devices/{mac}/options"),
    Call("GET /devices/{mac}/settings", "/devices/{mac}/settings"),
    Call("PATCH /devices/{mac}/system", "/devices/{mac}/system", {"info": {"frequency": 490}}),
    Call("GET /devices/{mac}/journal", "/devices/{mac}/journal"),
    Call("POST /devices/{mac}/journal/{entry_id}/revert", "/devices/{mac}/journal/{entry}/revert", {"restart": False}),
    Call("POST /devices/{mac}/system/{command}", "/devices/{mac}/system/identify"),
    Call("GET /devices/{mac}/logs", "/devices/{mac}/logs?tail=2"),
    Call("GET /devices/{mac}/logs/download", "/devices/{mac}/logs/download"),
    Call("GET /devices/{mac}/history", "/devices/{mac}/history?from=-1h&points=4"),
    Call("GET /history/devices", "/history/devices?macs={mac}&metric=hashrate_ghs&points=4"),
    Call("GET /history", "/history?from=-1h&points=4"),
    Call("GET /prometheus/query", "/prometheus/query?query=total_hashrate"),
    Call("GET /prometheus/query_range", "/prometheus/query_range?query=total_hashrate&start={ago}&end={now}&step=60"),
    Call("POST /presets", "/presets", {"name": "Quiet", "configuration": {"temptarget": 55, "minFanSpeed": 25}}),
    Call("GET /presets", "/presets"),
    Call("GET /presets/{uuid}", "/presets/{preset}"),
    Call("PUT /presets/{uuid}", "/presets/{preset}", {"name": "Quiet", "configuration": {"temptarget": 56}}),
    Call("PATCH /presets/{uuid}", "/presets/{preset}", {"configuration": {"temptarget": 58}}),
    Call("POST /presets/{preset_uuid}/apply", "/presets/{preset}/apply", {"macs": ["{third}"], "pauseSeconds": 0}),
    Call("GET /devices/presets/{preset_uuid}", "/devices/presets/{preset}"),
    Call(
        "POST /jobs", "/jobs", {"action": "settings", "devices": ["{mac}", "{second}"], "settings": {"minFanSpeed": 30}}
    ),
    Call("GET /jobs", "/jobs"),
    Call("GET /jobs/{job_id}", "/jobs/{job}"),
    Call("POST /jobs/{job_id}/pause", "/jobs/{job}/pause"),
    Call("POST /jobs/{job_id}/resume", "/jobs/{job}/resume"),
    Call("DELETE /jobs/{job_id}", "/jobs/{job}"),
    Call("POST /jobs/{job_id}/revert", "/jobs/{job}/revert"),
    Call("POST /devices/{mac}/drift/repair", "/devices/{repaired}/drift/repair", {"restart": False}),
    Call("POST /devices/{mac}/drift/accept", "/devices/{drifted}/drift/accept"),
    Call("GET /events", "/events?limit=2"),
    Call("GET /devices/{mac}/events", "/devices/{mac}/events?limit=2"),
    Call("GET /devices/{mac}/diagnostics", "/devices/{mac}/diagnostics"),
    Call("GET /dashboards", "/dashboards"),
    Call("GET /admin/store", "/admin/store"),
    Call("GET /admin/backup", "/admin/backup"),
    Call("GET /about", "/about"),
    Call("POST /devices/{mac}/system/restart", "/devices/{mac}/system/restart"),
    Call("DELETE /presets/{uuid}", "/presets/{preset}"),
    Call("DELETE /devices/imprint/{mac}", "/devices/imprint/{third}"),
)


class Recorder:
    """Sends the calls. `values`: what paths and bodies name, from the miners and from earlier answers."""

    def __init__(self, server: str, miners: Mapping[str, str]) -> None:
        """`miners`: MAC → address."""
        self._server = server
        self._miners = miners
        now = int(time.time())
        self.values = {**dict(zip(NAMES, miners, strict=False)), "now": str(now), "ago": str(now - 300)}

    def record_example(self, call: Call) -> dict[str, Any]:
        if prepare := PREPARATIONS.get(call.key):
            prepare(self)
        body = json.loads(self._fill(json.dumps(call.body))) if call.body is not None else None
        method, path = call.key.split(" ")[0], self._fill(call.path)
        answer = requests.request(method, f"http://{self._server}{path}", json=body, timeout=60)
        if not answer.ok:
            raise SystemExit(f"{call.key}: {answer.status_code} {answer.text}")
        kind = answer.headers["Content-Type"].split(";")[0]
        recorded = {"status": answer.status_code, "type": kind, "body": self._read_body(call.key, kind, answer)}
        return {"path": path, **({"body": body} if body is not None else {}), "answer": recorded}

    def _fill(self, text: str) -> str:
        for name, value in self.values.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def _read_body(self, key: str, kind: str, answer: requests.Response) -> Any:
        if kind != "application/json":
            return shorten(answer.text) if kind.startswith("text/") else f"({len(answer.content)} bytes)"
        body = answer.json()
        if key in REMEMBERED:
            name, read = REMEMBERED[key]
            self.values[name] = read(body["data"])
        return shorten(body)

    def get_data(self, path: str) -> Any:
        return requests.get(f"http://{self._server}{self._fill(path)}", timeout=10).json()["data"]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        if not wait_until(condition, 90, []):
            raise SystemExit("the service did not get that far in 90 s")

    def cause_drift(self) -> None:
        """Change a setting of two miners through the service, then at the miners themselves."""
        for name in ("drifted", "repaired"):
            path = f"http://{self._server}/devices/{self.values[name]}/system"
            requests.patch(path, json={"info": {"minFanSpeed": 31}}, timeout=10).raise_for_status()
        time.sleep(DRIFT_SECONDS)
        for name in ("drifted", "repaired"):
            address = self._miners[self.values[name]]
            requests.patch(f"http://{address}/api/system", json={"minFanSpeed": 40}, timeout=10).raise_for_status()
        paths = [f"/devices/imprint/{self.values[name]}" for name in ("drifted", "repaired")]
        self.wait_for(lambda: all(self.get_data(path).get("drift") for path in paths))


PREPARATIONS: Mapping[str, Callable[[Recorder], None]] = {
    "GET /devices": lambda recorder: recorder.wait_for(lambda: recorder.get_data("/about")["devices"]["online"] >= 5),
    "POST /jobs/{job_id}/revert": lambda recorder: recorder.wait_for(
        lambda: recorder.get_data("/jobs/{job}")["state"] not in ("planned", "running")
    ),
    "POST /devices/{mac}/drift/repair": Recorder.cause_drift,
    "POST /jobs": lambda recorder: recorder.wait_for(
        lambda: all(job["state"] not in ("planned", "running") for job in recorder.get_data("/jobs"))
    ),
    "GET /devices/scan": lambda recorder: recorder.wait_for(
        lambda: recorder.get_data("/devices/scan")["state"] == "done"
    ),
}
REMEMBERED: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "GET /devices/{mac}/journal": ("entry", lambda data: str(data[0]["id"])),
    "POST /presets": ("preset", lambda data: str(data["uuid"])),
    "POST /jobs": ("job", lambda data: str(data["id"])),
}


def shorten(value: Any, *, inside: str = "") -> Any:
    """Return a value with short lists, texts and firmware objects."""
    if isinstance(value, str):
        return value if len(value) <= TEXT_CHARACTERS else f"{value[:TEXT_CHARACTERS]} ..."
    if isinstance(value, list):
        return [shorten(item) for item in value[:LIST_ITEMS]]
    if isinstance(value, dict):
        keys = list(value)[:OBJECT_KEYS] if inside in SHORTENED_OBJECTS else list(value)
        return {key: shorten(value[key], inside=key) for key in keys}
    return value


def record_all(folder: Path) -> dict[str, Any]:
    """Return the examples by operation."""
    port = find_free_port()
    server = f"127.0.0.1:{port}"
    table = folder / "neighbours"
    environ = drop_service_settings(os.environ) | {
        "PORT": str(port), "BIND": "127.0.0.1", "DATA_DIR": str(folder / "data"),
        "ALLOWED_DEVICE_NETWORKS": "127.0.0.0/8", "DISCOVERY_SUBNETS": NETWORK, "DISCOVERY_PORTS": str(MINER_PORT),
        "NEIGHBOUR_TABLE": str(table), "MDNS": "false", "POLL_INTERVAL": "1", "HISTORY_RAW_HOURS": "1",
    }  # fmt: skip
    simulated = [*PYTHON, "simulator", "--count", "12", "--base", ADDRESS, "--port", str(MINER_PORT)]
    simulated += ["--boot-seconds", "2", "--neighbours", str(table)]
    with (
        ManagedProcess("simulator", simulated, folder, environ, piped=False) as simulator,
        ManagedProcess("service", [*PYTHON, "gunicorn"], folder, environ, piped=False) as service,
    ):
        if not wait_until(lambda: table.exists() and is_ready(server), 60, [simulator, service]):
            raise SystemExit("not ready within 60 s")
        found = requests.get(f"http://{server}/devices/discover", timeout=60).json()
        # Miners whose firmware has every command come first.
        found.sort(key=lambda each: str(each["info"].get("version")) not in ("v2.12.2", "v2.15.0"))
        miners = {each["mac"]: each["ip"] for each in found}
        recorder = Recorder(server, miners)
        return {call.key: recorder.record_example(call) for call in CALLS}


def main() -> int:
    with TemporaryDirectory() as folder:
        examples = record_all(Path(folder))
    EXAMPLES_FILE.write_text(json.dumps(examples, indent=1, ensure_ascii=False) + "\n")
    print(f"{len(examples)} examples in {EXAMPLES_FILE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
