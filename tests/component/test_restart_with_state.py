"""A service that starts again on its directory is the same: to its users, to Grafana, and to whoever kept a link."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_grafana import FakeGrafana
from fakes import FakeClock
from job_helpers import run
from testbed import Service

from app.services.configuration.drift_rules import OWN_CHANGE_SECONDS
from simulator import Fleet, Timings

# Fake time stands still while a write is read back, so the miners' write queue must not need any.
PROMPT = Timings(boot=0.3, before_restart=0.05, mining=0.0, queue=0.0, cooling=0.5, resume=0.1)
PATHS = ("/presets", "/dashboards", "/jobs", "/devices/presets/{uuid}", "/devices/{mac}/journal", "/devices/discovered")
# Of the process, not of the device.
PASSING = ("status", "tracing", "error", "stale")
# Of the last poll, and on disk every PERSIST_INTERVAL.
READINGS = ("info", "lastSeen", "updatedAt")


@pytest.fixture
def grafana() -> Iterator[FakeGrafana]:
    made = FakeGrafana().start()
    yield made
    made.stop()


@pytest.fixture
def lived(
    make_fleet: Callable[..., Fleet], make_service: Callable[..., Service], clock: FakeClock, grafana: FakeGrafana
) -> tuple[Service, Callable[..., Service]]:
    """A service that has been used for everything, and what starts it again, on its directory or on another."""
    specs = {"hostname": "gamma"}, {"generation": "2.4", "hostname": "supra"}
    fleet = make_fleet(*specs, clock=clock.monotonic, timings=PROMPT)

    def begin(**given: Any) -> Service:
        settings = {"gf_host": grafana.url, "grafana_token": grafana.token, **given}
        service = make_service(fleet, clock=clock, **settings)
        service.settle()
        return service

    service = begin()
    service.ok(service.client.get("/devices/discover"))
    service.imprint(*fleet)
    service.round(2)
    use(service, fleet)
    return service, begin


def use(service: Service, fleet: Fleet) -> None:
    """Every kind of thing that is kept."""
    mac = fleet[0].mac
    configuration = {"stratumURL": "pool.example", "stratumPort": 3333, "stratumUser": "bc1q"}
    preset = service.ok(service.client.post("/presets", json={"name": "Ocean", "configuration": configuration}))
    edit = {"name": "Attic", "notes": "loud", "tags": ["old"], "presetUuid": preset["uuid"]}
    service.ok(service.client.patch(f"/devices/imprint/{mac}", json={"device": edit}))
    run(service, "settings", devices=[mac], settings={"frequency": 490})
    service.clock.advance(OWN_CHANGE_SECONDS)
    fleet[0].store_settings({"frequency": 400})  # by somebody else
    service.round(2)
    assert service.device(mac)["drift"]


def state(service: Service, without: tuple[str, ...] = PASSING) -> dict[str, Any]:
    """What its users see of what it keeps; of a device, without these."""
    devices = service.ok(service.client.get("/devices/imprint"))
    [(mac, uuid)] = {(each["mac"], each["presetUuid"]) for each in devices if "presetUuid" in each}
    seen = {path: service.ok(service.client.get(path.format(uuid=uuid, mac=mac))) for path in PATHS}
    seen["/devices/imprint"] = devices
    for each in [*devices, *seen["/devices/presets/{uuid}"], *seen["/devices/discovered"]]:
        for key in without:
            each.pop(key, None)
        for key in ("frequencyOptions", "coreVoltageOptions"):  # asked of the miner at the first poll
            each.get("info", {}).pop(key, None)
    return seen


def test_it_is_as_it_was_before(lived: Any, grafana: FakeGrafana) -> None:
    service, begin = lived
    before, public, made = state(service), grafana.public_links(), set(grafana.dashboards)
    assert len(public) == 3 and all(before.values())
    service.stop()
    again = begin()
    assert state(again) == before
    again.round(3)
    assert grafana.public_links() == public
    assert set(grafana.dashboards) == made
    assert {each["status"] for each in again.devices()} == {"online"}
    drift = {each["mac"]: each.get("drift") for each in before["/devices/imprint"]}
    assert {each["mac"]: each.get("drift") for each in again.devices()} == drift, "by what it read then, too"


def test_it_is_as_it_was_when_it_was_killed(lived: Any, tmp_path: Path) -> None:
    """But for readings. The files as they are at this moment; what it wrote at its stop is elsewhere."""
    service, begin = lived
    before = state(service, (*PASSING, *READINGS))
    shutil.copytree(tmp_path / "data", tmp_path / "killed")
    service.stop()
    assert state(begin(data_dir=tmp_path / "killed"), (*PASSING, *READINGS)) == before


def test_the_day_after_it_makes_no_false_alarm(lived: Any, caplog: pytest.LogCaptureFixture) -> None:
    service, begin = lived
    service.stop()
    service.clock.advance(86_400)
    caplog.clear()
    again = begin()
    again.round(3)
    assert not [kind for kind, _ in again.events if kind == "DeviceFailed"]
    assert "miner lost" not in caplog.text
    assert again.scrape().get_one("hardware_online") == 2
