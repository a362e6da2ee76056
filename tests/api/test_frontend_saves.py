"""The current version of the Node project's frontend saves a device by a short list of settings instead of the whole
object."""

import pytest

# The settings that its form may have: a superset of the 16 that it sends.
FIELDS = (
    *("hostname", "frequency", "coreVoltage", "stratumURL", "stratumPort", "stratumUser", "stratumPassword"),
    *("fallbackStratumURL", "fallbackStratumPort", "fallbackStratumUser", "fallbackStratumPassword"),
    *("autofanspeed", "temptarget", "flipscreen", "rotation", "invertscreen", "displayTimeout", "overheat_mode"),
    *("overclockEnabled", "statsFrequency", "ssid", "wifiPass"),
)
FAN_FIELDS = [("fanspeed",), ("manualFanSpeed",), ("fanspeed", "manualFanSpeed")]
PASSWORDS = {"stratumPassword": "*****", "fallbackStratumPassword": "*****", "wifiPass": "*****"}
GENERATIONS = ["2.1", "2.4", "2.7", "2.10", "2.12", "2.15", "nerd", "nerd1.1"]


def collect_form(device, *more):
    """Return the form of a device as the frontend fills it: the reported fields, and masked passwords."""
    return {key: value for key in (*FIELDS, *more) if (value := device["info"].get(key)) is not None} | PASSWORDS


def save_form(service, miner, form):
    response = service.client.patch(f"/devices/{miner.mac}/system", json={"info": form})
    assert response.status_code == 200, response.get_json()
    return {row["key"]: row["status"] for row in response.get_json()["changes"]}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_edit_of_record_writes_nothing_to_miner(testbed, generation):
    service, (miner,) = testbed(generation)
    form = collect_form(service.get_device(miner.mac), *FAN_FIELDS[2])
    response = service.client.patch(
        f"/devices/imprint/{miner.mac}", json={"device": {"mac": miner.mac, "info": form | {"frequency": 500}}}
    )
    assert response.status_code == 200, response.get_json()
    service.run_polls(2)
    assert miner.writes == []
    assert service.get_device(miner.mac)["info"]["frequency"] == miner.read_info()["frequency"]


@pytest.mark.parametrize("fan_fields", FAN_FIELDS, ids="+".join)
@pytest.mark.parametrize("automatic", [0, 1])
@pytest.mark.parametrize("generation", GENERATIONS)
def test_unchanged_form_writes_nothing_to_miner(testbed, generation, automatic, fan_fields):
    """The readings in the form, such as `fanspeed`, are outdated when it is sent."""
    settings = {"autofanspeed": automatic, "manualFanSpeed": 60}
    service, (miner,) = testbed({"generation": generation, "settings": settings})
    form = collect_form(service.get_device(miner.mac), *fan_fields)
    for _ in range(3):
        service.run_polls(3)
        assert set(save_form(service, miner, form).values()) <= {"unchanged"}
    assert miner.writes == []


CHANGES = [
    ("frequency", 490),
    ("coreVoltage", 1100),
    ("stratumURL", "pool.example.org"),
    ("stratumPort", 4444),
    ("stratumUser", "bc1qexample.attic"),
    ("fallbackStratumURL", "other.example.org"),
    ("hostname", "attic"),
    ("invertscreen", 1),
    ("temptarget", 55),
]


@pytest.mark.parametrize(("key", "value"), CHANGES)
def test_only_the_edited_field_is_written(live_testbed, key, value):
    service, (miner,) = live_testbed("2.12")
    form = collect_form(service.get_device(miner.mac), "fanspeed")
    statuses = save_form(service, miner, form | {key: value})
    assert statuses.pop(key) in ("applied", "pending_restart")
    assert set(statuses.values()) <= {"unchanged"}
    assert len(miner.writes) == 1
    assert miner.stored[key] == value


@pytest.mark.parametrize("generation", ["2.12", "2.15", "nerd1.1"])
def test_fan_speed_is_written_under_either_name_in_manual_mode(live_testbed, generation):
    settings = {"autofanspeed": 0, "manualFanSpeed": 60}
    service, (miner,) = live_testbed({"generation": generation, "settings": settings})
    form = collect_form(service.get_device(miner.mac))
    for field, percent in (("fanspeed", 80), ("manualFanSpeed", 70)):
        assert save_form(service, miner, form | {field: percent})["manualFanSpeed"] == "applied"
        assert miner.stored["manualFanSpeed"] == percent


def test_wifi_is_refused_and_the_rest_is_written(live_testbed):
    service, (miner,) = live_testbed("2.12")
    form = collect_form(service.get_device(miner.mac))
    statuses = save_form(service, miner, form | {"ssid": "elsewhere", "wifiPass": "new-password", "frequency": 490})
    assert {key: status for key, status in statuses.items() if status != "unchanged"} == {
        "frequency": "applied",
        "ssid": "refused",
        "wifiPass": "refused",
    }
    assert "new-password" not in str(miner.writes)


def test_pool_difficulty_in_form_is_no_request(testbed):
    """`currentDiff` is added by this service; no firmware has such a setting."""
    service, (miner,) = testbed("2.12")
    device = service.get_device(miner.mac)
    assert device["info"]["currentDiff"] == miner.read_info()["poolDifficulty"]
    assert save_form(service, miner, {"currentDiff": 5, "frequency": device["info"]["frequency"]}) == {}
    service.client.patch(f"/devices/imprint/{miner.mac}", json={"device": {"info": {"currentDiff": 5}}})
    assert service.get_device(miner.mac)["info"]["currentDiff"] == device["info"]["currentDiff"]
    assert miner.writes == []
