"""Miners that were changed by other means: drift is detected at the next poll, published once, kept over restarts,
accepted or repaired."""

import pytest
from fakes import wait_until
from job_helpers import count_commands, count_settings_writes, list_states, run_job, wait_for_job

from app.events import DriftChanged
from app.services.configuration.drift_rules import OWN_CHANGE_SECONDS
from simulator import Timings

# Fake time stands still while a write is verified, so the miners' write queue must not need any.
PROMPT = Timings(boot=0.3, before_restart=0.05, mining=0.0, queue=0.0, cooling=0.5, resume=0.1)


@pytest.fixture
def drift_testbed(make_fleet, make_service, clock):
    """All miners online, with fake time; `service.drift_events` collects the published drift."""

    def make(*specs, **settings):
        fleet = make_fleet(*specs, clock=clock.monotonic, timings=PROMPT)
        service = make_service(fleet, clock=clock, poll_interval=0.5, **settings)
        service.drift_events = []
        service.runtime.events.subscribe(
            DriftChanged,
            lambda event: service.drift_events.append((event.tracked.mac, sorted(event.new), len(event.tracked.drift))),
        )
        service.imprint_miners(*fleet)
        service.run_polls()
        return service, fleet

    return make


def write_settings(service, miner, **values):
    """Write settings through the service, and advance the time until drift counts."""
    assert list_states(run_job(service, settings=values, devices=[miner.mac])) == {miner.mac: "done"}
    service.clock.advance(OWN_CHANGE_SECONDS)
    service.run_polls()


def read_drift(service, miner):
    """Return key → (expected, actual, cause), or None if the device is not compared."""
    rows = service.get_device(miner.mac).get("drift")
    return None if rows is None else {row["key"]: (row["expected"], row["actual"], row["cause"]) for row in rows}


def list_pool_warnings(caplog):
    return [record for record in caplog.records if "pool of a miner was changed" in record.getMessage()]


def test_only_devices_with_written_settings_are_compared(drift_testbed):
    service, fleet = drift_testbed("2.12", "2.12")
    write_settings(service, fleet[0], frequency=490)
    fleet[1].store_settings({"frequency": 400})
    service.run_polls()
    assert (read_drift(service, fleet[0]), read_drift(service, fleet[1])) == ({}, None)
    assert service.scrape_metrics().get_value("pluto_device_drift", mac=fleet[0].mac) == 0
    assert service.scrape_metrics().get_value("pluto_device_drift", mac=fleet[1].mac) is None
    assert service.drift_events == []


@pytest.mark.parametrize("generation", ["2.1", "2.4", "2.7", "2.10", "2.12", "2.15", "nerd", "nerd1.0.36"])
def test_our_own_settings_are_no_drift_on_any_firmware(drift_testbed, generation):
    service, fleet = drift_testbed(generation)
    values = {
        "frequency": 400,
        "stratumURL": "pool.example",
        "stratumUser": "mine.w",
        "autofanspeed": 0,
        "manualFanSpeed": 70,
    }
    result = run_job(service, settings=values, restart=True)
    assert set(list_states(result).values()) == {"done"}
    service.clock.advance(OWN_CHANGE_SECONDS)
    service.run_polls(3)
    assert read_drift(service, fleet[0]) == {}
    assert service.drift_events == []


def test_frequency_changed_elsewhere_is_drift(drift_testbed):
    service, fleet = drift_testbed("2.12")
    write_settings(service, fleet[0], frequency=490)
    fleet[0].store_settings({"frequency": 400})
    service.run_polls(3)
    assert read_drift(service, fleet[0]) == {"frequency": (490, 400, "changed_elsewhere")}
    assert service.drift_events == [(fleet[0].mac, ["frequency"], 1)]
    assert service.scrape_metrics().get_value("pluto_device_drift", mac=fleet[0].mac) == 1
    assert service.scrape_metrics().get_value("pluto_device_pool_drift", mac=fleet[0].mac) == 0
    fleet[0].store_settings({"frequency": 490})
    service.run_polls()
    assert read_drift(service, fleet[0]) == {}
    assert service.drift_events[1:] == [(fleet[0].mac, [], 0)]


def test_offline_device_exports_no_drift(drift_testbed):
    service, fleet = drift_testbed("2.12")
    write_settings(service, fleet[0], frequency=490)
    fleet[0].store_settings({"frequency": 400})
    service.run_polls(3)
    fleet[0].set_fault("refuse")
    service.run_polls(4)
    assert service.get_status(fleet[0].mac) == "offline"
    assert service.scrape_metrics().get_value("pluto_device_drift", mac=fleet[0].mac) is None
    assert read_drift(service, fleet[0]) == {"frequency": (490, 400, "changed_elsewhere")}
    fleet[0].clear_fault()
    service.run_polls(2)
    assert service.scrape_metrics().get_value("pluto_device_drift", mac=fleet[0].mac) == 1


def test_pool_changed_elsewhere_is_logged_once_and_exported(drift_testbed, caplog):
    service, fleet = drift_testbed("2.12")
    write_settings(service, fleet[0], stratumUser="mine.w")
    fleet[0].store_settings({"stratumUser": "theirs.w"})
    service.run_polls(4)
    assert read_drift(service, fleet[0]) == {"stratumUser": ("mine.w", "theirs.w", "pool_changed")}
    assert service.scrape_metrics().get_value("pluto_device_pool_drift", mac=fleet[0].mac) == 1
    (warning,) = list_pool_warnings(caplog)
    assert (warning.mac, warning.keys) == (fleet[0].mac, ["stratumUser"])


@pytest.mark.parametrize("generation", ["2.10", "2.12"])
def test_overheat_fallback_is_repaired_only_on_request(drift_testbed, generation):
    """A user may repair it, which also clears the latch of old firmware; auto-repair leaves it alone."""
    service, fleet = drift_testbed({"generation": generation, "board": "601"}, auto_repair=True)
    write_settings(service, fleet[0], frequency=550, coreVoltage=1200)
    fleet[0].set_fault("overheat")
    fleet[0].clear_fault()
    if generation == "2.10":
        wait_until(lambda: not fleet[0].powered)
        wait_until(lambda: fleet[0].powered)
    service.clock.advance(1)
    service.run_polls(3)
    rows = read_drift(service, fleet[0])
    assert {key: cause for key, (_, _, cause) in rows.items()} == dict.fromkeys(
        ("frequency", "coreVoltage"), "overheat_fallback"
    )
    assert count_settings_writes(fleet[0]) == 1
    answer = service.client.post(f"/devices/{fleet[0].mac}/drift/repair", json={})
    assert answer.status_code == 202
    assert wait_for_job(service, answer.get_json()["data"]["id"])["counts"] == {"done": 1}
    service.run_polls()
    assert (fleet[0].read_info()["frequency"], fleet[0].read_info()["overheat_mode"]) == (550, 0)
    assert read_drift(service, fleet[0]) == {}


def test_factory_reset_is_recognised(drift_testbed):
    service, fleet = drift_testbed({"generation": "2.12", "hostname": "bitaxe"})
    write_settings(service, fleet[0], frequency=550, coreVoltage=1200, stratumURL="pool.example")
    chip = fleet[0].board.chip
    fleet[0].store_settings(
        {"frequency": chip.default_mhz, "coreVoltage": chip.default_mv, "stratumURL": "public-pool.io"}
    )
    service.run_polls()
    assert {cause for _, _, cause in read_drift(service, fleet[0]).values()} == {"factory_reset"}
    assert service.scrape_metrics().get_value("pluto_device_pool_drift", mac=fleet[0].mac) == 1


def test_change_that_needs_restart_is_pending(drift_testbed):
    """The miner reports the stored value, but runs the value from its boot."""
    service, fleet = drift_testbed("2.12")
    old = fleet[0].read_info()["stratumUser"]
    run_job(service, settings={"stratumUser": "mine.w"})
    service.run_polls()
    assert read_drift(service, fleet[0]) == {}
    service.clock.advance(OWN_CHANGE_SECONDS)
    service.run_polls()
    assert read_drift(service, fleet[0]) == {"stratumUser": ("mine.w", old, "pending_restart")}
    assert service.scrape_metrics().get_value("pluto_device_pool_drift", mac=fleet[0].mac) == 0
    answer = service.client.post(f"/devices/{fleet[0].mac}/drift/repair", json={})
    result = wait_for_job(service, answer.get_json()["data"]["id"])
    assert (result["action"], result["counts"]) == ("restart", {"done": 1})
    service.run_polls()
    assert read_drift(service, fleet[0]) == {}
    assert count_commands(fleet[0]) == 1


def test_accepted_drift_becomes_desired_state(drift_testbed):
    service, fleet = drift_testbed("2.12")
    write_settings(service, fleet[0], frequency=490)
    fleet[0].store_settings({"frequency": 400})
    service.run_polls()
    accepted = service.read_data(service.client.post(f"/devices/{fleet[0].mac}/drift/accept"))
    assert accepted["drift"] == []
    service.run_polls(2)
    assert read_drift(service, fleet[0]) == {}
    fleet[0].store_settings({"frequency": 490})
    service.run_polls()
    assert read_drift(service, fleet[0]) == {"frequency": (400, 490, "changed_elsewhere")}
    assert count_settings_writes(fleet[0]) == 1


def test_repair_writes_drifted_settings_and_preset_password(drift_testbed):
    service, fleet = drift_testbed("2.12")
    configuration = {"stratumURL": "pool.example", "stratumUser": "mine", "stratumPassword": "hush", "frequency": 490}
    preset = service.read_data(service.client.post("/presets", json={"name": "p", "configuration": configuration}))
    run_job(service, "apply-preset", presetUuid=preset["uuid"], restart=True)
    fleet[0].store_settings({"stratumUser": "theirs", "stratumPassword": "theirs", "temptarget": 50})
    service.clock.advance(OWN_CHANGE_SECONDS)
    service.run_polls(2)
    answer = service.client.post(f"/devices/{fleet[0].mac}/drift/repair", json={"restart": True})
    assert "hush" not in answer.get_data(as_text=True)
    assert wait_for_job(service, answer.get_json()["data"]["id"])["counts"] == {"done": 1}
    stored = fleet[0].stored
    assert (stored["stratumUser"], stored["stratumPassword"], stored["temptarget"]) == ("mine", "hush", 50)
    assert service.get_device(fleet[0].mac)["presetUuid"] == preset["uuid"]


def test_drift_is_not_repaired_automatically_by_default(drift_testbed):
    service, fleet = drift_testbed("2.12")
    write_settings(service, fleet[0], stratumUser="mine.w")
    fleet[0].store_settings({"stratumUser": "theirs.w"})
    service.run_polls(10)
    assert count_settings_writes(fleet[0]) == 1
    assert len(service.read_data(service.client.get("/jobs"))) == 1


def test_auto_repair_runs_once_per_drift_and_once_an_hour(drift_testbed, caplog):
    service, fleet = drift_testbed("2.12", auto_repair=True)
    write_settings(service, fleet[0], stratumUser="mine.w")

    def change_pool():
        fleet[0].store_settings({"stratumUser": "theirs.w"})
        service.run_polls(3)

    def await_newest_job():
        newest = service.read_data(service.client.get("/jobs"))[0]["id"]
        result = wait_for_job(service, newest)
        service.clock.advance(OWN_CHANGE_SECONDS)
        service.run_polls(2)
        return result

    change_pool()
    result = await_newest_job()
    assert (result["actor"], result["counts"]) == ("auto-repair", {"done": 1})
    assert (fleet[0].read_info()["stratumUser"], fleet[0].running["stratumUser"]) == ("mine.w", "mine.w")
    assert (count_settings_writes(fleet[0]), count_commands(fleet[0])) == (2, 1)
    change_pool()
    assert count_settings_writes(fleet[0]) == 2
    assert "left alone" in caplog.text
    assert fleet[0].read_info()["stratumUser"] == "theirs.w"
    fleet[0].store_settings({"stratumUser": "mine.w"})
    service.clock.advance(3600)
    service.run_polls(2)
    change_pool()
    await_newest_job()
    assert count_settings_writes(fleet[0]) == 3


def test_known_drift_is_not_logged_again_after_service_restart(drift_testbed, make_service, caplog):
    service, fleet = drift_testbed("2.12")
    write_settings(service, fleet[0], stratumUser="mine.w")
    fleet[0].store_settings({"stratumUser": "theirs.w"})
    service.run_polls()
    (row,) = service.get_device(fleet[0].mac)["drift"]
    service.stop()
    service.clock.advance(100)
    again = make_service(fleet, clock=service.clock)
    assert again.get_device(fleet[0].mac)["drift"] == [row]
    again.run_polls(2)
    assert again.get_device(fleet[0].mac)["drift"] == [row]
    assert len(list_pool_warnings(caplog)) == 1


def test_our_own_write_is_not_reported_as_drift(drift_testbed, caplog):
    service, fleet = drift_testbed("2.12", "2.15", "nerd")
    for number in range(4):
        for miner in fleet:
            body = {"info": {"frequency": (490, 400)[number % 2], "stratumUser": f"mine.{number}"}}
            assert service.client.patch(f"/devices/{miner.mac}/system", json=body).status_code == 200
        service.run_polls()
    assert service.drift_events == []
    assert not list_pool_warnings(caplog)


def test_deleted_device_leaves_no_drift(drift_testbed):
    service, fleet = drift_testbed("2.12")
    write_settings(service, fleet[0], frequency=490)
    fleet[0].store_settings({"frequency": 400})
    service.run_polls()
    service.read_data(service.client.delete(f"/devices/imprint/{fleet[0].mac}"))
    service.imprint_miners(fleet[0])
    service.run_polls(2)
    assert read_drift(service, fleet[0]) is None


@pytest.mark.parametrize("action", ["accept", "repair"])
def test_drift_request_without_device_or_drift_is_rejected(drift_testbed, action):
    service, fleet = drift_testbed("2.12")
    assert service.client.post(f"/devices/{fleet[0].mac}/drift/{action}", json={}).status_code == 400
    assert service.client.post(f"/devices/02:00:00:00:00:99/drift/{action}", json={}).status_code == 404
