"""A data directory of the Node original, made with the LevelDB of npm: opens here, keeps working, opens there again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from processes import JS, Miners, Service, wait_for

CREATED = "2025-03-01T08:00:00.000Z"
PRESET = "0195500e-7a1b-7c3d-8e4f-5a6b7c8d9e0f"


def node(what: str, data: Path, given: Any = None) -> Any:
    """Runs original_data.mjs on `pluto_core` in this data directory."""
    data.mkdir(exist_ok=True)
    done = subprocess.run(
        ["node", str(JS / "original_data.mjs"), what, str(data / "pluto_core")],
        input=json.dumps(given), capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout else None


def device(mac: str, ip: str, hostname: str, **more: Any) -> dict[str, Any]:
    info = {
        "hostname": hostname,
        "power": 11.9,
        "hashRate": 478.1,
        "stratumUser": "bc1qexample.worker",
        "wifiPass": "12345678",
    }
    times = {"createdAt": CREATED, "updatedAt": CREATED}
    return {"ip": ip, "mac": mac, "type": "Espressif Inc.", "info": info, "tracing": True, **times, **more}


def original(miners: Miners) -> dict[str, Any]:
    """One miner that is there, under its MAC in upper case; one that is gone; two presets."""
    here = miners.all()[0]
    upper, gone = here["mac"].upper(), "aa:bb:cc:dd:ee:01"
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
        "devices:imprinted": [gone, upper],
        f"devices:imprinted:{gone}": device(gone, "127.0.0.9", "left", presetUuid=PRESET, ofTheFuture=[1]),
        f"devices:imprinted:{upper}": device(upper, here["address"], "right"),
        "presets": [PRESET, other["uuid"]],
        f"presets:{PRESET}": preset,
        f"presets:{other['uuid']}": other,
    }


def test_opens_here_and_there_again(miners: Miners, start: Callable[..., Service], tmp_path: Path) -> None:
    before = original(miners)
    here = miners.all()[0]["mac"]
    node("write", tmp_path / "data", before)

    service = start(POLL_INTERVAL=1, **miners.settings())
    service.wait_until_online(1)
    known = {each["mac"]: each for each in service.devices()}
    assert set(known) == {here, "aa:bb:cc:dd:ee:01"}
    assert known[here]["createdAt"] == CREATED
    assert [each["mac"] for each in service.call("GET", f"/devices/presets/{PRESET}")["data"]] == ["aa:bb:cc:dd:ee:01"]
    assert "12345678" not in requests.get(f"{service.url}/devices/imprint", timeout=10).text
    newcomer = next(each["mac"] for each in miners.all() if each["mac"] != here)
    wait_for("the scan", lambda: service.call("GET", "/devices/discover"), 20)
    service.call("PATCH", "/devices/imprint", {"mac": newcomer})
    assert service.stop() == 0

    after = node("read", tmp_path / "data")
    assert after["devices:imprinted"] == ["aa:bb:cc:dd:ee:01", here, newcomer]
    records = {key for key in after if key.startswith("devices:imprinted:")}
    assert records == {f"devices:imprinted:{mac}" for mac in after["devices:imprinted"]}
    for mac in after["devices:imprinted"]:
        record = after[f"devices:imprinted:{mac}"]
        assert record["mac"] == mac
        assert {"ip", "type", "info", "createdAt", "updatedAt"} <= set(record)
    assert after["devices:imprinted:aa:bb:cc:dd:ee:01"]["ofTheFuture"] == [1]
    assert after["devices:imprinted:aa:bb:cc:dd:ee:01"]["presetUuid"] == PRESET
    assert after[f"devices:imprinted:{here}"]["info"]["hashRate"] != 478.1
    presets = {key: value for key, value in before.items() if key.startswith("presets")}
    assert {key: after.get(key) for key in presets} == presets


def test_what_the_original_changes_is_there_when_it_comes_back(
    miners: Miners, start: Callable[..., Service], tmp_path: Path
) -> None:
    service = start(**miners.settings())
    macs = service.imprint_all()
    assert service.stop() == 0
    data = node("read", tmp_path / "data")
    assert sorted(data["devices:imprinted"]) == sorted(macs)
    kept = data["devices:imprinted"][:3]
    renamed = {**data[f"devices:imprinted:{kept[0]}"], "type": "edited over there"}
    node("write", tmp_path / "data", {"devices:imprinted": kept, f"devices:imprinted:{kept[0]}": renamed})

    service = start(**miners.settings())
    assert {each["mac"] for each in service.devices()} == set(kept)
    assert service.call("GET", f"/devices/imprint/{kept[0]}")["data"]["type"] == "edited over there"
