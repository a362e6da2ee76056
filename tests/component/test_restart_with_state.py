"""A service restarted on its data directory shows the same state to its users and in Grafana, and keeps the public
links."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_grafana import FakeGrafana
from fakes import FakeClock
from job_helpers import run_job
from testbed import Service

from app.services.configuration.drift_rules import OWN_CHANGE_SECONDS
from simulator import Fleet, Timings

# Fake time stands still while a write is verified, so the miners' write queue must not need any.
PROMPT = Timings(boot=0.3, before_restart=0.05, mining=0.0, queue=0.0, cooling=0.5, resume=0.1)
PATHS = ("/presets", "/dashboards", "/jobs", "/devices/presets/{uuid}", "/devices/{mac}/journal", "/devices/discovered")
# Fields of the process, not of the device; a device has the last three while it answers.
PROCESS_FIELDS = ("status", "tracing", "error", "stale", "derived", "chips", "warnings")
# Fields of the last poll, written to disk every PERSIST_INTERVAL.
READING_FIELDS = ("info", "lastSeen", "updatedAt")


@pytest.fixture
def used_service(
    make_fleet: Callable[..., Fleet], make_service: Callable[..., Service], clock: FakeClock, grafana: FakeGrafana
) -> tuple[Service, Callable[..., Service]]:
    """A service with every kind of stored data, and a function that starts it again, on its own or another
    directory."""
    specs = {"hostname": "gamma"}, {"generation": "2.4", "hostname": "supra"}
    fleet = make_fleet(*specs, clock=clock.monotonic, timings=PROMPT)

    def restart(**given: Any) -> Service:
        settings = {"gf_host": grafana.url, "grafana_token": grafana.token, **given}
        service = make_service(fleet, clock=clock, **settings)
        service.wait_until_idle()
        return service

    service = restart()
    service.read_data(service.client.get("/devices/discover"))
    service.imprint_miners(*fleet)
    service.run_polls(2)
    create_every_kind_of_data(service, fleet)
    return service, restart


def create_every_kind_of_data(service: Service, fleet: Fleet) -> None:
    """Create every kind of data that the service stores."""
    mac = fleet[0].mac
    configuration = {"stratumURL": "pool.example", "stratumPort": 3333, "stratumUser": "bc1q"}
    preset = service.read_data(service.client.post("/presets", json={"name": "Ocean", "configuration": configuration}))
    edit = {"name": "Attic", "notes": "loud", "tags": ["old"], "presetUuid": preset["uuid"]}
    service.read_data(service.client.patch(f"/devices/imprint/{mac}", json={"device": edit}))
    run_job(service, "settings", devices=[mac], settings={"frequency": 490})
    service.clock.advance(OWN_CHANGE_SECONDS)
    fleet[0].store_settings({"frequency": 400})  # changed by other means
    service.run_polls(2)
    assert service.get_device(mac)["drift"]


def read_state(service: Service, without: tuple[str, ...] = PROCESS_FIELDS) -> dict[str, Any]:
    """Return the stored state as users see it, without these fields of the devices."""
    devices = service.read_data(service.client.get("/devices/imprint"))
    [(mac, uuid)] = {(each["mac"], each["presetUuid"]) for each in devices if "presetUuid" in each}
    seen = {path: service.read_data(service.client.get(path.format(uuid=uuid, mac=mac))) for path in PATHS}
    seen["/devices/imprint"] = devices
    for each in [*devices, *seen["/devices/presets/{uuid}"], *seen["/devices/discovered"]]:
        for key in without:
            each.pop(key, None)
        for key in ("frequencyOptions", "coreVoltageOptions"):  # read from the miner at the first poll
            each.get("info", {}).pop(key, None)
    return seen


def test_restarted_service_has_same_state(used_service: Any, grafana: FakeGrafana) -> None:
    service, restart = used_service
    before, public, created = read_state(service), grafana.list_public_tokens(), set(grafana.dashboards)
    assert len(public) == 3 and all(before.values())
    service.stop()
    again = restart()
    assert read_state(again) == before
    again.run_polls(3)
    assert grafana.list_public_tokens() == public
    assert set(grafana.dashboards) == created
    assert {each["status"] for each in again.list_devices()} == {"online"}
    drift = {each["mac"]: each.get("drift") for each in before["/devices/imprint"]}
    assert {each["mac"]: each.get("drift") for each in again.list_devices()} == drift, "also after the first polls"


def test_killed_service_has_same_state_except_readings(used_service: Any, tmp_path: Path) -> None:
    """The copy holds the files of this moment; the writes of the shutdown go elsewhere."""
    service, restart = used_service
    before = read_state(service, (*PROCESS_FIELDS, *READING_FIELDS))
    shutil.copytree(tmp_path / "data", tmp_path / "killed")
    service.stop()
    assert read_state(restart(data_dir=tmp_path / "killed"), (*PROCESS_FIELDS, *READING_FIELDS)) == before


def test_restart_after_a_day_causes_no_false_alarm(used_service: Any, caplog: pytest.LogCaptureFixture) -> None:
    service, restart = used_service
    service.stop()
    service.clock.advance(86_400)
    caplog.clear()
    again = restart()
    again.run_polls(3)
    assert not [kind for kind, _ in again.events if kind == "DeviceFailed"]
    assert "miner lost" not in caplog.text
    assert again.scrape_metrics().get_value("hardware_online") == 2
