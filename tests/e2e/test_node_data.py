"""A data directory of the Node backend, written with npm's LevelDB, is opened by the service and by Node again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from processes import JS, ServiceProcess, SimulatorProcess, wait_for

CREATED = "2025-03-01T08:00:00.000Z"
PRESET = "0195500e-7a1b-7c3d-8e4f-5a6b7c8d9e0f"


def run_node_backend_store(command: str, data: Path, records: Any = None) -> Any:
    """Run node_data.mjs on `pluto_core` in this data directory."""
    data.mkdir(exist_ok=True)
    completed = subprocess.run(
        ["node", str(JS / "node_data.mjs"), command, str(data / "pluto_core")],
        input=json.dumps(records), capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert completed.returncode == 0, completed.stderr
    return json.loads(completed.stdout) if completed.stdout else None


def make_record(mac: str, ip: str, hostname: str, **more: Any) -> dict[str, Any]:
    info = {
        "hostname": hostname,
        "power": 11.9,
        "hashRate": 478.1,
        "stratumUser": "bc1qexample.worker",
        "wifiPass": "12345678",
    }
    times = {"createdAt": CREATED, "updatedAt": CREATED}
    return {"ip": ip, "mac": mac, "type": "Espressif Inc.", "info": info, "tracing": True, **times, **more}


def make_node_records(miners: SimulatorProcess) -> dict[str, Any]:
    """Return the records of an online miner (its MAC in upper case), of an absent miner and of two presets."""
    online_miner = miners.list_miners()[0]
    upper_mac, absent_mac = online_miner["mac"].upper(), "aa:bb:cc:dd:ee:01"
    configuration = {"stratumURL": "pool.example", "stratumPort": 3333, "stratumUser": "bc1q", "stratumPassword": "x"}
    preset = {
        "uuid": PRESET,
        "name": "Solo",
        "configuration": configuration,
        "createdAt": CREATED,
        "updatedAt": CREATED,
    }
    other = {**preset, "uuid": "0195500e-7a1b-7c3d-8e4f-5a6b7c8d9e10", "name": "Ocean", "ofTheFuture": {"kept": True}}
    return {
        "devices:imprinted": [absent_mac, upper_mac],
        f"devices:imprinted:{absent_mac}": make_record(
            absent_mac, "127.0.0.9", "absent", presetUuid=PRESET, ofTheFuture=[1]
        ),
        f"devices:imprinted:{upper_mac}": make_record(upper_mac, online_miner["address"], "online"),
        "presets": [PRESET, other["uuid"]],
        f"presets:{PRESET}": preset,
        f"presets:{other['uuid']}": other,
    }


def test_node_directory_is_opened_by_the_service_and_by_node_again(
    miners: SimulatorProcess, start_service: Callable[..., ServiceProcess], tmp_path: Path
) -> None:
    before = make_node_records(miners)
    online_mac = miners.list_miners()[0]["mac"]
    run_node_backend_store("write", tmp_path / "data", before)

    service = start_service(POLL_INTERVAL=1, **miners.settings())
    service.wait_until_online(1)
    known = {each["mac"]: each for each in service.list_devices()}
    assert set(known) == {online_mac, "aa:bb:cc:dd:ee:01"}
    assert known[online_mac]["createdAt"] == CREATED
    assert [each["mac"] for each in service.call_api("GET", f"/devices/presets/{PRESET}")["data"]] == [
        "aa:bb:cc:dd:ee:01"
    ]
    assert "12345678" not in requests.get(f"{service.url}/devices/imprint", timeout=10).text
    new_mac = next(each["mac"] for each in miners.list_miners() if each["mac"] != online_mac)
    wait_for("the scan", lambda: service.call_api("GET", "/devices/discover"), 20)
    service.call_api("PATCH", "/devices/imprint", {"mac": new_mac})
    assert service.stop() == 0

    after = run_node_backend_store("read", tmp_path / "data")
    assert after["devices:imprinted"] == ["aa:bb:cc:dd:ee:01", online_mac, new_mac]
    records = {key for key in after if key.startswith("devices:imprinted:")}
    assert records == {f"devices:imprinted:{mac}" for mac in after["devices:imprinted"]}
    for mac in after["devices:imprinted"]:
        record = after[f"devices:imprinted:{mac}"]
        assert record["mac"] == mac
        assert {"ip", "type", "info", "createdAt", "updatedAt"} <= set(record)
    assert after["devices:imprinted:aa:bb:cc:dd:ee:01"]["ofTheFuture"] == [1]
    assert after["devices:imprinted:aa:bb:cc:dd:ee:01"]["presetUuid"] == PRESET
    assert after[f"devices:imprinted:{online_mac}"]["info"]["hashRate"] != 478.1
    presets = {key: value for key, value in before.items() if key.startswith("presets")}
    assert {key: after.get(key) for key in presets} == presets


def test_changes_by_node_are_there_when_the_service_starts_again(
    miners: SimulatorProcess, start_service: Callable[..., ServiceProcess], tmp_path: Path
) -> None:
    service = start_service(**miners.settings())
    macs = service.imprint_all_miners()
    assert service.stop() == 0
    data = run_node_backend_store("read", tmp_path / "data")
    assert sorted(data["devices:imprinted"]) == sorted(macs)
    kept_macs = data["devices:imprinted"][:3]
    edited_record = {**data[f"devices:imprinted:{kept_macs[0]}"], "type": "edited by Node"}
    run_node_backend_store(
        "write", tmp_path / "data", {"devices:imprinted": kept_macs, f"devices:imprinted:{kept_macs[0]}": edited_record}
    )

    service = start_service(**miners.settings())
    assert {each["mac"] for each in service.list_devices()} == set(kept_macs)
    assert service.call_api("GET", f"/devices/imprint/{kept_macs[0]}")["data"]["type"] == "edited by Node"
