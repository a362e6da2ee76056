"""Presets applied to miners: by the frontend's complete device objects and by UUID alone, without revealing
passwords."""

import json

import pytest
from fakes import wait_until
from testbed import Scrape
from write_helpers import ALL_GENERATIONS, get_primary_pool, list_patches, patch_system, read_changes, save_device

PASSWORD = "hunter2-canary"
POOL = {"stratumURL": "pool.example", "stratumPort": "4444", "stratumUser": "bc1q", "stratumPassword": PASSWORD}


def create_preset(service, **configuration):
    response = service.client.post(
        "/presets", json={"uuid": "client-made", "name": "P", "configuration": configuration or POOL}
    )
    return service.read_data(response)


@pytest.mark.parametrize("generation", ALL_GENERATIONS)
def test_frontend_preset_flow(live_testbed, generation):
    """Create, apply with the complete object and a composed user, store the response, duplicate, save again, unset,
    delete."""
    service, (miner,) = live_testbed(generation)
    client, url = service.client, f"/devices/imprint/{miner.mac}"
    preset = create_preset(service)
    device = service.get_device(miner.mac)
    device = {**device, "presetUuid": preset["uuid"], "info": {**device["info"], "stratumUser": "bc1q.worker7"}}
    response = client.patch(f"/devices/{miner.mac}/system", json=device)
    body = response.get_json()
    assert body["message"] == "Device system info updated successfully"
    shown = {"stratumURL": "pool.example", "stratumPort": 4444, "stratumUser": "bc1q.worker7"}
    assert {key: body["data"]["info"][key] for key in shown} == shown
    assert (body["data"]["presetUuid"], body["data"]["mac"]) == (preset["uuid"], miner.mac)
    wait_until(lambda: get_primary_pool(miner.stored)["stratumPassword"] == PASSWORD)
    assert {key: get_primary_pool(miner.stored)[key] for key in shown} == shown

    updated = service.read_data(client.patch(url, json={"device": body["data"]}))
    assert updated["presetUuid"] == preset["uuid"]
    assert [each["mac"] for each in service.read_data(client.get(f"/devices/presets/{preset['uuid']}"))] == [miner.mac]
    copy = service.read_data(client.post("/presets", json={**preset, "name": "Copy"}))
    assert service.read_data(client.get("/presets"))[0]["associatedDevices"] == 1

    writes_before = len(miner.writes)
    assert save_device(service, miner).status_code == 200
    assert len(miner.writes) == writes_before, "a save must not write the password again"

    unset = service.read_data(client.patch(url, json={"device": {**service.get_device(miner.mac), "presetUuid": None}}))
    assert "presetUuid" not in unset
    assert service.read_data(client.delete(f"/presets/{copy['uuid']}"))["uuid"] == copy["uuid"]
    assert client.delete(f"/presets/{preset['uuid']}").status_code == 200
    assert len(miner.writes) == writes_before


def test_unknown_preset_is_rejected_and_nothing_is_written(live_testbed):
    service, (miner,) = live_testbed("2.12")
    response = patch_system(service, miner, presetUuid="01900000-0000-7000-8000-000000000000", info={"frequency": 400})
    assert (response.status_code, response.get_json()["error"]) == (400, "Associated Preset id not available")
    assert not miner.writes
    assert "presetUuid" not in service.get_device(miner.mac)


def test_preset_by_uuid_composes_stratum_user_per_device(live_testbed):
    service, fleet = live_testbed("2.12", "2.15", "2.4")
    preset = create_preset(service, **POOL, workerTemplate="{hostname}_{mac}")
    for miner in fleet:
        user = f"bc1q.{miner.spec.hostname}_{miner.mac.replace(':', '')}"
        assert read_changes(patch_system(service, miner, presetUuid=preset["uuid"]))["stratumUser"][0] == user
        assert get_primary_pool(miner.stored)["stratumUser"] == user
    assert service.read_data(service.client.get("/presets"))[0]["associatedDevices"] == 3


def test_precedence_of_preset_and_request_values(live_testbed):
    """The preset decides pool and password, and the user if the request has none; for other settings the request's
    edits decide."""
    service, (miner,) = live_testbed("2.12")
    preset = create_preset(service, **POOL, frequency=490, coreVoltage=1100, temptarget=58)
    body = {"stratumURL": "other.example", "stratumUser": "me.w", "stratumPassword": "mine", "frequency": 550}
    response = patch_system(service, miner, presetUuid=preset["uuid"], info=body)
    assert {key: value for key, (value, _, _) in read_changes(response).items()} == {
        "frequency": 550,
        "coreVoltage": 1100,
        "temptarget": 58,
        "stratumURL": "pool.example",
        "stratumPort": 4444,
        "stratumPassword": None,
        "stratumUser": "me.w",
    }
    assert list_patches(miner)[0]["stratumPassword"] == PASSWORD


def test_complete_object_overrides_preset_only_where_edited(live_testbed):
    service, (miner,) = live_testbed("2.12")
    preset = create_preset(service, **POOL, frequency=490, coreVoltage=1100)
    device = service.get_device(miner.mac)
    device = {
        **device,
        "presetUuid": preset["uuid"],
        "info": {**device["info"], "coreVoltage": 1200, "stratumUser": ""},
    }
    changed = read_changes(service.client.patch(f"/devices/{miner.mac}/system", json=device))
    assert changed["frequency"][0] == 490
    assert changed["coreVoltage"][0] == 1200
    assert changed["stratumUser"][0] == "bc1q"
    # The miner runs 1200 now, and the next save does not restore the preset's 1100.
    assert {status for _, _, status in read_changes(save_device(service, miner)).values()} <= {"unchanged"}
    assert len(miner.writes) == 1


@pytest.mark.parametrize("generation", ["2.12", "2.15"])
def test_password_is_written_again_only_if_preset_changed(live_testbed, generation):
    service, (miner,) = live_testbed(generation)
    preset = create_preset(service)
    patch_system(service, miner, presetUuid=preset["uuid"])
    patch_system(service, miner, presetUuid=preset["uuid"])
    assert len(miner.writes) == 1
    service.client.patch(f"/presets/{preset['uuid']}", json={"configuration": {"stratumPassword": "second"}})
    assert read_changes(save_device(service, miner)).keys() >= {"stratumPassword"}
    assert len(miner.writes) == 2
    wait_until(lambda: get_primary_pool(miner.stored)["stratumPassword"] == "second")
    other = create_preset(service, stratumURL="pool.example")
    patch_system(service, miner, presetUuid=other["uuid"])
    assert len(miner.writes) == 2, "the other preset has no password and the same pool"
    assert get_primary_pool(miner.stored)["stratumPassword"] == "second"


def test_failed_write_keeps_previous_preset_and_outstanding_password(live_testbed):
    service, (miner,) = live_testbed("2.12")
    preset = create_preset(service)
    miner.set_fault("status_500", method="PATCH")
    assert patch_system(service, miner, presetUuid=preset["uuid"]).status_code == 502
    assert "presetUuid" not in service.get_device(miner.mac)
    miner.clear_fault()
    assert "stratumPassword" in read_changes(patch_system(service, miner, presetUuid=preset["uuid"]))


def test_preset_with_invalid_stored_port_is_rejected(live_testbed):
    service, (miner,) = live_testbed("2.12")
    preset = create_preset(service)
    record = dict(service.runtime.presets.get_preset(preset["uuid"]).record)
    service.runtime.presets._repository.save_preset(
        {**record, "configuration": {**record["configuration"], "stratumPort": "abc"}}
    )
    response = patch_system(service, miner, presetUuid=preset["uuid"])
    assert (response.status_code, list(response.get_json()["details"])) == (400, ["stratumPort"])
    assert not miner.writes


def test_empty_fallback_pool_is_not_written(live_testbed):
    service, (miner,) = live_testbed("2.15")
    before = miner.stored["pools"][1]
    preset = create_preset(service, **POOL, fallbackStratumURL="", fallbackStratumUser="", fallbackStratumPort="")
    patch_system(service, miner, presetUuid=preset["uuid"])
    assert [pool["id"] for pool in list_patches(miner)[0]["pools"]] == [0]
    assert miner.stored["pools"][1] == before


def test_password_appears_nowhere_but_in_preset_and_miner(live_testbed, caplog):
    """A password that is sent to the service is stored in its preset's record and on the miner, and nowhere else."""
    service, (miner, locked) = live_testbed("2.15", {"generation": "nerd", "otp": True})
    client = service.client
    preset = create_preset(
        service,
        **POOL,
        fallbackStratumPassword=f"{PASSWORD}-2",
        fallbackStratumURL="fb.example",
        fallbackStratumPort=1,
        fallbackStratumUser="f",
    )
    responses = [
        client.get("/presets"),
        client.get(f"/presets/{preset['uuid']}"),
        client.put(
            f"/presets/{preset['uuid']}",
            json={
                "name": "Q",
                "configuration": {
                    **POOL,
                    "fallbackStratumURL": "fb.example",
                    "fallbackStratumPort": 1,
                    "fallbackStratumUser": "f",
                },
            },
        ),
        client.post(
            "/presets",
            json={"name": "bad", "configuration": {"stratumPassword": PASSWORD * 20, "stratumUser": f"<{PASSWORD}>"}},
        ),
        patch_system(service, miner, presetUuid=preset["uuid"]),
        patch_system(service, miner, info={"stratumPassword": f"{PASSWORD}\n"}),
        patch_system(service, miner, info={"stratumPassword": f"{PASSWORD}-3", "stratumURL": "x.example"}),
        patch_system(service, miner, info={"wifiPass": PASSWORD}),
        patch_system(service, locked, presetUuid=preset["uuid"]),
        client.get(f"/devices/{miner.mac}/journal"),
        client.post(f"/devices/{miner.mac}/journal/1/revert"),
        client.get("/devices/imprint"),
        client.get(f"/devices/imprint/{miner.mac}"),
        client.get("/metrics"),
        client.delete(f"/presets/{preset['uuid']}"),
    ]
    assert all(PASSWORD not in response.get_data(as_text=True) for response in responses)
    assert all(PASSWORD not in str(record.__dict__) for record in caplog.records)
    Scrape(responses[-2].get_data(as_text=True))
    other = create_preset(service)
    service.runtime.fleet.flush_readings()
    keys_with_password = {
        key for key, value in service.runtime.database.scan_prefix("") if PASSWORD in json.dumps(value)
    }
    assert keys_with_password == {f"presets:{other['uuid']}"}
