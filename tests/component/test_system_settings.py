"""PATCH /devices/:mac/system on every firmware: the exact bytes sent to the miner, its settings afterwards, and the
response."""

import json
import time

import gevent
import pytest
from fakes import wait_until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from write_helpers import ALL_GENERATIONS, get_primary_pool, list_patches, patch_system, read_changes, save_device

from simulator import Timings, swap

# A pool change on the wire. On 2.15 the slot's other members keep their values, in the miner's order.
_FLAT = b'{"stratumURL":"new.example","stratumPort":4444,"stratumUser":"bc1q.x","stratumPassword":"hunter2"}'
_SLOT = (
    b'{"pools":[{"id":0,"stratumProtocol":"SV1","stratumURL":"new.example","stratumPort":4444,"stratumUser":"bc1q.x",'
    b'"stratumSuggestedDifficulty":1000,"stratumExtranonceSubscribe":false,"stratumTLS":0,"stratumCert":"",'
    b'"stratumDecodeCoinbase":true,"stratumV2ChannelType":"extended","stratumV2AuthorityPubkey":"",'
    b'"stratumV2RequireAuth":false,"stratumPassword":"hunter2"}]}'
)
NEW_POOL = {"stratumURL": "new.example", "stratumPort": "4444", "stratumUser": "bc1q.x", "stratumPassword": "hunter2"}


@pytest.mark.parametrize("generation", ALL_GENERATIONS)
def test_pool_change_on_the_wire_and_after_restart(live_testbed, generation):
    service, (miner,) = live_testbed(generation)
    changed = read_changes(patch_system(service, miner, info=NEW_POOL))
    assert miner.writes == [_SLOT if generation == "2.15" else _FLAT]
    status = "applied" if miner.generation.nerd else "pending_restart"
    assert changed == {
        "stratumURL": ("new.example", "new.example", status),
        "stratumPort": (4444, 4444, status),
        "stratumUser": ("bc1q.x", "bc1q.x", status),
        "stratumPassword": (None, None, status),
    }
    wait_until(lambda: get_primary_pool(miner.stored)["stratumPassword"] == "hunter2")
    assert get_primary_pool(miner.running)["stratumURL"] == (
        "new.example" if miner.generation.nerd else "public-pool.io"
    )
    miner.restart()
    wait_until(lambda: get_primary_pool(miner.running)["stratumURL"] == "new.example", 5)
    assert get_primary_pool(miner.running)["stratumPort"] == 4444


_TUNING = {
    "2.1": b'{"frequency":500,"coreVoltage":1250,"autofanspeed":0,"manualFanSpeed":70,"fanspeed":70}',
    "nerd": b'{"frequency":500,"coreVoltage":1250,"autofanspeed":0,"manualFanSpeed":70,"pidTargetTemp":58}',
    "new": b'{"frequency":500,"coreVoltage":1250,"autofanspeed":0,"manualFanSpeed":70,"fanspeed":70,"temptarget":58}',
}


@pytest.mark.parametrize("generation", ALL_GENERATIONS)
def test_tuning_change_on_the_wire_and_in_effect(live_testbed, generation):
    service, (miner,) = live_testbed(
        {"generation": generation, "board": "401" if "nerd" not in generation else "nerdqaxe+"}
    )
    new_settings = {"frequency": 500, "coreVoltage": 1250, "autofanspeed": False, "manualFanSpeed": 70}
    has_target = generation not in ("2.1", "2.4")
    changed = read_changes(
        patch_system(service, miner, info={**new_settings, **({"temptarget": 58} if has_target else {})})
    )
    (body,) = miner.writes
    assert body == _TUNING["nerd" if miner.generation.nerd else "new" if has_target else "2.1"]
    assert {status for _, _, status in changed.values()} == {"applied"}
    expected = {"frequency": 500, "coreVoltage": 1250, "autofanspeed": 0, "manualFanSpeed": 70}
    wait_until(lambda: {key: miner.running[key] for key in expected} == expected)
    assert miner.running["temptarget"] == (58 if has_target else miner.running["temptarget"])


@pytest.mark.parametrize("generation", ALL_GENERATIONS)
def test_saving_unchanged_device_sends_nothing(live_testbed, generation):
    """Defect 32: the Node backend forwarded the whole telemetry to the miner."""
    service, (miner,) = live_testbed(generation)
    before = dict(miner.stored)
    response = save_device(service, miner)
    assert response.status_code == 200
    body = response.get_json()
    assert (body["message"], body["changes"]) == ("Device system info updated successfully", [])
    assert body["data"]["mac"] == miner.mac
    gevent.sleep(0.6)  # polls update the readings, so the client's object is outdated
    old = {
        "power": 1,
        "temp": 80.5,
        "hashRate": 3,
        "uptimeSeconds": 1,
        "fanspeed": 3,
        "sharesAccepted": 0,
        "wifiRSSI": -1,
    }
    assert read_changes(save_device(service, miner, **old)) == {}
    assert not miner.writes
    assert dict(miner.stored) == before


@pytest.mark.parametrize("generation", ["2.4", "2.7", "2.10", "2.12", "2.15"])
def test_saving_one_edit_sends_only_that_setting(live_testbed, generation):
    service, (miner,) = live_testbed(generation)
    changed = read_changes(save_device(service, miner, hostname="renamed"))
    assert miner.writes == [b'{"hostname":"renamed"}']
    assert changed == {"hostname": ("renamed", "renamed", "applied" if generation == "2.15" else "pending_restart")}
    assert service.get_device(miner.mac)["info"]["hostname"] == "renamed"


@pytest.mark.parametrize("generation", ["2.4", "2.12"])
def test_restart_only_if_requested_and_needed(live_testbed, generation):
    service, (miner,) = live_testbed(generation)
    key = "flipscreen" if generation == "2.4" else "rotation"
    live = patch_system(service, miner, info={"frequency": 400}, restart=True).get_json()
    assert (live["restarted"], miner.requests["POST", "/api/system/restart"]) == (False, 0)
    restarted = patch_system(service, miner, info={key: 0 if key == "flipscreen" else 90}, restart=True).get_json()
    assert restarted["restarted"] is True
    assert restarted["changes"][0]["reason"] == "Takes effect with the restart that was just started"
    wait_until(lambda: not miner.powered)
    wait_until(lambda: miner.powered and miner.running[key] == (0 if key == "flipscreen" else 90))
    again = patch_system(service, miner, info={key: 1 if key == "flipscreen" else 180}, restart=True)
    assert again.status_code == 429
    assert len(list_patches(miner)) == 2


HOSTILE = (
    {"frequency": 65535},
    {"frequency": 626, "allowOverclock": True},
    {"coreVoltage": 1251},
    {"stratumPort": "abc"},
    {"hostname": "x" * 400},
    {"hostname": "<img src=x onerror=alert(1)>"},
    {"stratumUser": "<script>"},
    {"stratumURL": "http://evil/"},
    {"stratumURL": {"a": 1}},
    {"autofanspeed": "sometimes"},
    {"displayTimeout": 1e99},
    {"frequency": None, "coreVoltage": []},
)


@pytest.mark.parametrize("generation", ["2.4", "2.12", "2.15", "nerd"])
def test_request_with_hostile_value_writes_nothing(live_testbed, generation):
    service, (miner,) = live_testbed(generation)
    for bad in HOSTILE:
        response = patch_system(service, miner, info={"invertscreen": 1, **bad})
        assert response.status_code == 400, bad
        body = response.get_json()
        assert set(body["details"]) & set(bad), body
        assert body["message"] == body["error"]
    assert not miner.writes


@pytest.mark.parametrize(
    "body",
    [{"info": []}, {"info": None}, {"restart": "yes"}, {"allowOverclock": 1}, {"presetUuid": 5}, [], "x", {"mac": 5}],
)
def test_wrong_type_is_400_with_name_of_field(live_testbed, body):
    service, (miner,) = live_testbed("2.12", auto_listen=False)
    response = service.client.patch(f"/devices/{miner.mac}/system", json=body)
    assert response.status_code == 400
    assert response.get_json()["details"]
    assert not miner.requests


def test_overclocking_needs_unlocked_miner_and_request_flag_and_has_limits(live_testbed):
    service, (locked, unlocked) = live_testbed("2.12", {"generation": "2.12", "settings": {"overclockEnabled": 1}})
    assert patch_system(service, locked, info={"frequency": 700}, allowOverclock=True).status_code == 400
    assert (
        patch_system(service, locked, info={"frequency": 700, "overclockEnabled": 1}, allowOverclock=True).status_code
        == 400
    )
    assert patch_system(service, unlocked, info={"frequency": 700}).status_code == 400
    for key, value in (("frequency", 938), ("frequency", 199), ("coreVoltage", 1401), ("coreVoltage", 849)):
        assert patch_system(service, unlocked, info={key: value}, allowOverclock=True).status_code == 400
    assert not locked.writes
    assert not unlocked.writes
    assert (
        read_changes(
            patch_system(service, unlocked, info={"frequency": 937.5, "coreVoltage": 850}, allowOverclock=True)
        )["frequency"][2]
        == "applied"
    )
    assert unlocked.writes == [b'{"frequency":937.5,"coreVoltage":850}']
    options = service.read_data(service.client.get(f"/devices/{unlocked.mac}/options"))
    assert options["overclock"] == {
        "unlocked": True,
        "frequency": {"min": 200.0, "max": 937.5},
        "coreVoltage": {"min": 850, "max": 1400},
    }


def test_unusual_stored_value_does_not_block_other_changes(live_testbed):
    unusual = {"frequency": 606.25, "hostname": "Büro <b>", "overclockEnabled": 1}
    service, (miner,) = live_testbed({"generation": "2.12", "settings": unusual})
    assert read_changes(save_device(service, miner, temptarget=58)) == {"temptarget": (58, 58, "applied")}
    assert miner.writes == [b'{"temptarget":58}']


@pytest.mark.parametrize("generation", ["2.4", "2.7", "nerd1.0.36"])
def test_options_of_device_not_monitored_are_read_before_write(live_testbed, generation):
    service, (miner,) = live_testbed(generation, auto_listen=False)
    assert patch_system(service, miner, info={"frequency": 65535}).status_code == 400
    assert (
        read_changes(patch_system(service, miner, info={"frequency": 400 if "nerd" not in generation else 500}))[
            "frequency"
        ][2]
        == "applied"
    )
    assert miner.requests["GET", "/api/system/asic"] == 1
    options = service.read_data(service.client.get(f"/devices/{miner.mac}/options"))
    assert options["frequencies"] == list(miner.board.chip.frequencies)
    assert options["source"] == ("device" if miner.generation.has_asic else "table")


def test_wifi_settings_are_rejected(live_testbed):
    service, (miner,) = live_testbed("2.12")
    response = patch_system(service, miner, info={"ssid": "typo", "wifiPass": "hunter2"})
    assert response.status_code == 400
    assert "own page" in response.get_json()["details"]["ssid"][0]
    assert read_changes(patch_system(service, miner, info={"ssid": "typo", "temptarget": 58}))["ssid"][2] == "refused"
    assert miner.writes == [b'{"temptarget":58}']


def test_setting_missing_in_firmware_is_refused_and_rest_is_written(live_testbed):
    service, (miner,) = live_testbed("2.4")
    changed = read_changes(patch_system(service, miner, info={"minFanSpeed": 30, "frequency": 400}))
    assert {key: status for key, (_, _, status) in changed.items()} == {
        "frequency": "applied",
        "minFanSpeed": "refused",
    }
    assert miner.writes == [b'{"frequency":400}']
    none = patch_system(service, miner, info={"minFanSpeed": 30})
    assert none.status_code == 400
    assert none.get_json()["details"] == {"minFanSpeed": ["This firmware reports no such setting, so it was not sent"]}


@pytest.mark.parametrize("fault", ["other_mac", "swap"])
def test_other_miner_at_address_is_not_written(live_testbed, fault):
    """Users of other tools reported edits of the wrong miner."""
    service, (one, other) = live_testbed("2.12", "2.12", auto_listen=False)
    if fault == "swap":
        swap(one, other)
    else:
        one.set_fault("other_mac")
    response = patch_system(service, one, info={"frequency": 400})
    assert response.status_code == 409
    assert not one.writes
    assert not other.writes


def test_firmware_without_mac_is_verified_by_its_other_fields(live_testbed, make_fleet, tmp_path):
    """AxeOS 2.1 reports no MAC; another board is at the address, and there is no neighbour table."""
    service, (miner,) = live_testbed("2.1", neighbour_table=tmp_path / "none")
    assert read_changes(patch_system(service, miner, info={"frequency": 400}))["frequency"][2] == "applied"
    address = miner.release_address()
    (other,) = make_fleet({"generation": "2.1", "board": "102", "address": address}, first=9)
    assert patch_system(service, miner, info={"frequency": 485}).status_code == 409
    assert not other.writes


NERDOS_VALUES = [
    ({"stratumTLS": True}, b'{"stratumTLS":true}', "stratumTLS"),
    ({"stratumTLS": 1}, b'{"stratumTLS":true}', "stratumTLS"),
    ({"stratumTLS": "1"}, b'{"stratumTLS":true}', "stratumTLS"),
    ({"fallbackStratumTLS": True}, b'{"fallbackStratumTLS":true}', "fallbackStratumTLS"),
    ({"stratumDifficulty": 4_000_000_000}, b'{"stratumDifficulty":4000000000}', "stratumSuggestedDifficulty"),
    ({"stratumSuggestedDifficulty": 65536}, b'{"stratumDifficulty":65536}', "stratumSuggestedDifficulty"),
    ({"stratumProtocol": 1}, b'{"stratumProtocol":1}', "stratumProtocol"),
    ({"stratumProtocol": "SV2"}, b'{"stratumProtocol":1}', "stratumProtocol"),
    ({"fallbackStratumProtocol": 1}, b'{"fallbackStratumProtocol":1}', "fallbackStratumProtocol"),
    (
        {"fallbackStratumEnonceSubscribe": True},
        b'{"fallbackStratumEnonceSubscribe":true}',
        "fallbackStratumExtranonceSubscribe",
    ),
    (
        {"fallbackStratumExtranonceSubscribe": 1},
        b'{"fallbackStratumEnonceSubscribe":true}',
        "fallbackStratumExtranonceSubscribe",
    ),
    ({"pidTargetTemp": 80}, b'{"pidTargetTemp":80}', "temptarget"),
    ({"temptarget": 30}, b'{"pidTargetTemp":30}', "temptarget"),
    ({"overheat_temp": 75}, b'{"overheat_temp":75}', "overheat_temp"),
    ({"jobInterval": 500}, b'{"jobInterval":500}', "jobInterval"),
    ({"sv2ChannelType": 1}, b'{"sv2ChannelType":1}', "stratumV2ChannelType"),
]


@pytest.mark.parametrize(("values", "body", "key"), NERDOS_VALUES)
def test_nerdos_settings_use_its_names_types_and_ranges(live_testbed, values, body, key):
    service, (miner,) = live_testbed("nerd1.1")
    assert {key: status for key, (_, _, status) in read_changes(patch_system(service, miner, info=values)).items()} == {
        key: "applied"
    }
    assert miner.writes == [body]
    assert read_changes(patch_system(service, miner, info=values))[key][2] == "unchanged"
    assert len(miner.writes) == 1
    assert read_changes(save_device(service, miner)) == {}


@pytest.mark.parametrize(
    "values",
    [
        {"stratumTLS": 2},
        {"stratumDifficulty": 2**32},
        {"stratumDifficulty": -1},
        {"stratumProtocol": 2},
        {"stratumProtocol": "SV3"},
        {"pidTargetTemp": 29},
        {"pidTargetTemp": 81},
        {"overheat_temp": 39},
        {"overheat_temp": 91},
        {"overheat_temp": 0},
        {"jobInterval": 0},
        {"jobInterval": 65536},
        {"poolMode": 2},
        {"fans": {"mode": 1}},
        {"fans": [1]},
        {"fans": [{"mode": 3}]},
        {"fans": [{"overheatTemp": 200}]},
        {"fans": [{"manualSpeed": 101}]},
        {"fans": [{"pid": {"targetTemp": 90}}]},
        {"fans": [{}] * 1000},
        {"fans": [{"pid": dict.fromkeys(map(str, range(100)))}]},
        {"frequency": 500.5},
    ],
)
def test_values_invalid_on_nerdos_are_rejected(live_testbed, values):
    service, (miner,) = live_testbed("nerd1.1")
    response = patch_system(service, miner, info={"invertscreen": 1, **values})
    assert response.status_code == 400
    assert response.get_json()["details"]
    assert not miner.writes


def test_pool_mode_of_nerdos_is_written_and_needs_restart(live_testbed):
    service, (miner,) = live_testbed("nerd1.1")
    assert read_changes(patch_system(service, miner, info={"poolMode": 1})) == {"poolMode": (1, 1, "pending_restart")}
    assert miner.writes == [b'{"poolMode":1}']


def test_fans_of_nerdos_are_set_individually(live_testbed):
    service, (miner,) = live_testbed("nerd1.1")
    fans = [{}, {"mode": 0, "manualSpeed": 40, "overheatTemp": 80, "pid": {"targetTemp": 65, "p": 6.5}}]
    assert read_changes(patch_system(service, miner, info={"fans": fans})) == {
        "fans[1].mode": (0, 0, "applied"),
        "fans[1].manualSpeed": (40, 40, "applied"),
        "fans[1].overheatTemp": (80, 80, "applied"),
        "fans[1].pid.targetTemp": (65, 65, "applied"),
        "fans[1].pid.p": (6.5, 6.5, "applied"),
    }
    assert list_patches(miner) == [{"fans": fans}]
    assert read_changes(save_device(service, miner)) == {}
    whole = service.get_device(miner.mac)["info"]["fans"]
    edited = [{**whole[0], "rpm": 1, "pid": {**whole[0]["pid"], "targetTemp": 50}}, {**whole[1], "speedPerc": 3}]
    assert read_changes(save_device(service, miner, fans=edited)) == {"fans[0].pid.targetTemp": (50, 50, "applied")}
    assert list_patches(miner)[1] == {"fans": [{"pid": {"targetTemp": 50}}]}
    reverted = service.client.post(f"/devices/{miner.mac}/journal/1/revert")
    assert read_changes(reverted)["fans[1].mode"] == (2, 2, "applied")
    assert read_changes(
        patch_system(service, miner, info={"fans": [{"color": "red"}, {}, {"mode": 1}], "frequency": 500})
    ) == {
        "frequency": (500, 500, "applied"),
        "fans[0].color": ("red", None, "unsupported"),
        "fans[2]": (None, None, "unsupported"),
    }


@pytest.mark.parametrize("generation", ALL_GENERATIONS)
def test_unknown_key_is_reported(live_testbed, generation):
    service, (miner,) = live_testbed(generation)
    response_alone = patch_system(service, miner, info={"nonsense": 1, "axeosPassword": "hunter2"})
    assert response_alone.status_code == 400
    reason = "There is no such setting, so it was not sent"
    assert response_alone.get_json()["details"] == {"nonsense": [reason], "axeosPassword": [reason]}
    frequency = 500 if "nerd" in generation else 400
    response_with_setting = patch_system(
        service, miner, info={"nonsense": 1, "axeosPassword": "hunter2", "frequency": frequency}
    )
    assert read_changes(response_with_setting) == {
        "frequency": (frequency, frequency, "applied"),
        "nonsense": (1, None, "unsupported"),
        "axeosPassword": (None, None, "unsupported"),
    }
    assert read_changes(save_device(service, miner, nonsense={"a": 1})) == {"nonsense": (None, None, "unsupported")}
    assert [set(body) for body in list_patches(miner)] == [{"frequency"}]
    assert service.runtime.desired_states.get_state(miner.mac).settings == {"frequency": frequency}


@pytest.mark.parametrize("generation", ALL_GENERATIONS)
def test_each_reported_field_may_be_sent_back_unchanged(live_testbed, generation):
    """Telemetry and unchanged values do not count as unsupported settings."""
    service, (miner,) = live_testbed(generation)
    for key, value in miner.read_info().items():
        if key != "fanspeed":  # sets the speed of a manually controlled fan
            response = patch_system(service, miner, info={key: value})
            assert response.status_code == 200, (key, response.get_json())
            assert {row["status"] for row in response.get_json()["changes"]} <= {"unchanged"}, key
    assert not list_patches(miner)


def test_unsupported_setting_is_reported_if_it_differs(live_testbed):
    service, (miner,) = live_testbed("nerd1.1")
    pid = miner.read_info()["pidP"]
    assert read_changes(patch_system(service, miner, info={"pidP": pid})) == {}
    assert read_changes(save_device(service, miner, pidP=pid + 1)) == {"pidP": (pid + 1, pid, "unsupported")}
    assert patch_system(service, miner, info={"pidP": pid + 1}).status_code == 400


def test_unknown_field_beside_info_is_reported(live_testbed):
    service, (miner,) = live_testbed("2.12")
    response_alone = patch_system(service, miner, frequency=400)
    assert (response_alone.status_code, list(response_alone.get_json()["details"])) == (400, ["frequency"])
    response_with_setting = patch_system(service, miner, frequency=400, info={"temptarget": 58})
    assert read_changes(response_with_setting) == {
        "temptarget": (58, 58, "applied"),
        "frequency": (None, None, "unsupported"),
    }
    assert read_changes(patch_system(service, miner, presetUuid=None, nonsense=1)) == {
        "nonsense": (None, None, "unsupported")
    }


def test_number_of_reported_unknown_keys_is_limited(live_testbed):
    service, (miner,) = live_testbed("2.12")
    many = {f"key{number}": 1 for number in range(1000)}
    assert len(patch_system(service, miner, info=many).get_json()["details"]) == 256
    assert len(read_changes(patch_system(service, miner, info={**many, "temptarget": 58}))) == 257
    assert len(patch_system(service, miner, **many).get_json()["details"]) == 256
    too_many = patch_system(service, miner, info=dict.fromkeys(map(str, range(1025)), 1))
    assert (too_many.status_code, list(too_many.get_json()["details"])) == (400, ["info"])


class TestPoolList:
    def test_pool_in_use_is_reported_by_flat_names(self, live_testbed):
        service, (miner,) = live_testbed("2.15")
        pools = [{"id": 0, **NEW_POOL}]
        changed = read_changes(patch_system(service, miner, info={"pools": pools}))
        assert miner.writes == [_SLOT]
        assert changed["stratumURL"] == ("new.example", "new.example", "pending_restart")
        assert changed["stratumPassword"] == (None, None, "pending_restart")
        assert service.runtime.desired_states.get_state(miner.mac).settings["stratumURL"] == "new.example"
        wait_until(lambda: get_primary_pool(miner.stored)["stratumPassword"] == "hunter2")

    def test_masked_or_missing_password_keeps_stored_password(self, live_testbed):
        service, (miner,) = live_testbed("2.15")
        password = get_primary_pool(miner.stored)["stratumPassword"]
        patch_system(service, miner, info={"pools": [{"id": 0, "stratumPort": 1, "stratumPassword": "*****"}]})
        patch_system(service, miner, info={"pools": [{"id": 0, "stratumPort": 2}]})
        assert [body["pools"][0]["stratumPassword"] for body in list_patches(miner)] == ["*****", "*****"]
        wait_until(lambda: get_primary_pool(miner.stored)["stratumPort"] == 2)
        assert get_primary_pool(miner.stored)["stratumPassword"] == password

    def test_new_pool_is_created_changed_and_reverted(self, live_testbed):
        service, (miner,) = live_testbed("2.15")
        pool = {"id": 3, "stratumURL": "three.example", "stratumPort": 3333, "stratumUser": "u"}
        changed = read_changes(patch_system(service, miner, info={"pools": [pool]}))
        assert changed["pools[3].stratumURL"] == ("three.example", "three.example", "pending_restart")
        assert list_patches(miner) == [{"pools": [pool]}]
        assert service.runtime.desired_states.get_state(miner.mac).settings == {}
        again = read_changes(patch_system(service, miner, info={"pools": [{**pool, "stratumPort": 4444}]}))
        assert again["pools[3].stratumPort"] == (4444, 4444, "pending_restart")
        entry = service.read_data(service.client.get(f"/devices/{miner.mac}/journal"))[0]
        assert (entry["before"], entry["after"]) == ({"pools[3].stratumPort": 3333}, {"pools[3].stratumPort": 4444})
        reverted = service.client.post(f"/devices/{miner.mac}/journal/{entry['id']}/revert")
        assert read_changes(reverted) == {"pools[3].stratumPort": (3333, 3333, "pending_restart")}
        wait_until(lambda: miner.stored["pools"][3]["stratumPort"] == 3333)
        first = service.client.post(f"/devices/{miner.mac}/journal/1/revert")
        assert first.status_code == 400
        assert "did not report it" in first.get_json()["details"]["pools[3].stratumURL"][0]

    def test_new_pool_and_its_selection_are_sent_in_one_request(self, live_testbed):
        service, (miner,) = live_testbed("2.15")
        pool = {"id": 3, "stratumURL": "three.example", "stratumPort": 3333, "stratumUser": "u"}
        assert patch_system(service, miner, info={"primaryPoolIndex": 3}).status_code == 400
        changed = read_changes(patch_system(service, miner, info={"pools": [pool], "primaryPoolIndex": 3}))
        assert {status for _, _, status in changed.values()} == {"pending_restart"}
        assert list_patches(miner) == [{"primaryPoolIndex": 3, "pools": [pool]}]

    @pytest.mark.parametrize(
        ("pools", "key"),
        [
            ({}, "pools"),
            ("x", "pools"),
            ([5], "pools"),
            ([{"stratumURL": "a.example"}], "pools"),
            ([{"id": 8}], "pools"),
            ([{"id": -1}], "pools"),
            ([{"id": True}], "pools"),
            ([{"id": 0.5}], "pools"),
            ([{"id": 0}, {"id": 0}], "pools"),
            ([{"id": 0, **dict.fromkeys(map(str, range(100)))}], "pools"),
            ([{"id": number} for number in range(9)], "pools"),
            ([{"id": 0, "stratumPort": 0}], "stratumPort"),
            ([{"id": 0, "stratumURL": {"a": 1}}], "stratumURL"),
            ([{"id": 0, "stratumURL": ""}], "stratumURL"),
            ([{"id": 1, "stratumUser": "<b>"}], "fallbackStratumUser"),
            ([{"id": 5, "stratumTLS": 9}], "pools[5].stratumTLS"),
            ([{"id": 5, "stratumURL": "five.example"}], "pools[5].stratumPort"),
        ],
    )
    def test_invalid_pool_is_rejected_and_nothing_is_written(self, live_testbed, pools, key):
        service, (miner,) = live_testbed("2.15")
        response = patch_system(service, miner, info={"pools": pools, "temptarget": 58})
        assert response.status_code == 400
        assert key in response.get_json()["details"]
        assert not miner.writes

    def test_setting_given_twice_must_have_one_value(self, live_testbed):
        service, (miner,) = live_testbed("2.15")
        pool = {"id": 0, "stratumURL": "new.example"}
        twice = patch_system(service, miner, info={"pools": [pool], "stratumURL": "other.example"})
        assert (twice.status_code, list(twice.get_json()["details"])) == (400, ["stratumURL"])
        assert read_changes(patch_system(service, miner, info={"pools": [pool], "stratumURL": "new.example"}))[
            "stratumURL"
        ][2]
        assert len(list_patches(miner)) == 1

    def test_complete_object_may_be_edited_in_pool_list_or_flat(self, live_testbed):
        service, (miner,) = live_testbed("2.15")
        pools = service.get_device(miner.mac)["info"]["pools"]
        edited = [{**pools[0], "stratumPort": 1}, *pools[1:]]
        assert read_changes(save_device(service, miner, pools=edited)) == {"stratumPort": (1, 1, "pending_restart")}
        assert read_changes(save_device(service, miner, stratumPort=2)) == {"stratumPort": (2, 2, "pending_restart")}
        new = {"id": 6, "stratumURL": "six.example", "stratumPort": 6, "stratumUser": "u"}
        pools = service.get_device(miner.mac)["info"]["pools"]
        assert set(read_changes(save_device(service, miner, pools=[*pools, new]))) == {
            "pools[6].stratumURL",
            "pools[6].stratumPort",
            "pools[6].stratumUser",
        }
        assert read_changes(save_device(service, miner)) == {}

    def test_response_contains_pool_in_list_and_flat(self, live_testbed):
        service, (miner,) = live_testbed("2.15")
        info = patch_system(service, miner, info={"stratumPort": 7}).get_json()["data"]["info"]
        assert (info["stratumPort"], info["pools"][0]["stratumPort"], len(info["pools"])) == (7, 7, 2)

    @pytest.mark.parametrize("generation", ["2.4", "2.12", "nerd1.1"])
    def test_pool_list_on_firmware_without_slots_is_unsupported(self, live_testbed, generation):
        service, (miner,) = live_testbed(generation)
        pools = [{"id": 0, "stratumURL": "new.example"}]
        response = patch_system(service, miner, info={"pools": pools})
        assert (response.status_code, list(response.get_json()["details"])) == (400, ["pools"])
        response_with_setting = read_changes(patch_system(service, miner, info={"pools": pools, "stratumPort": 1}))
        assert (response_with_setting["pools"], response_with_setting["stratumPort"][0]) == (
            (None, None, "unsupported"),
            1,
        )

    def test_unknown_member_of_pool_is_reported(self, live_testbed):
        service, (miner,) = live_testbed("2.15")
        pools = [{"id": 0, "stratumV2RequireAuth": False, "color": "red"}]
        response = patch_system(service, miner, info={"pools": pools})
        assert (response.status_code, list(response.get_json()["details"])) == (400, ["pools[0].color"])


def test_object_of_another_device_is_rejected(live_testbed):
    service, (one, other) = live_testbed("2.12", "2.12")
    response = service.client.patch(f"/devices/{one.mac}/system", json=service.get_device(other.mac))
    assert (response.status_code, list(response.get_json()["details"])) == (400, ["mac"])
    assert (
        service.client.patch(
            f"/devices/{one.mac.upper().replace(':', '-')}/system", json=service.get_device(one.mac)
        ).status_code
        == 200
    )


@pytest.mark.parametrize("mac", ["x", "", "02:00:5e", "02:00:5e:00:00:zz"])
def test_object_with_invalid_mac_is_rejected(live_testbed, mac):
    service, (miner,) = live_testbed("2.12", auto_listen=False)
    response = service.client.patch(f"/devices/{miner.mac}/system", json={"mac": mac, "info": {"frequency": 400}})
    assert (response.status_code, response.get_json()["details"]) == (400, {"mac": ["Not a MAC address."]})
    assert not miner.requests


def test_unknown_or_invalid_mac_is_404(service):
    assert service.client.patch("/devices/02:00:5e:00:00:99/system", json={}).status_code == 404
    assert service.client.patch("/devices/nonsense/system", json={"info": {}}).status_code == 404


def test_request_without_changes_succeeds_for_offline_miner(live_testbed):
    service, (miner,) = live_testbed("2.12")
    miner.power_off()
    for body in ({}, {"restart": True}, {"presetUuid": None}, {"info": {}}):
        response = patch_system(service, miner, **body)
        assert (response.status_code, response.get_json()["changes"]) == (200, [])


@pytest.mark.parametrize(
    ("fault", "options", "status"),
    [
        ("refuse", {}, 502),
        ("redirect", {"method": "PATCH"}, 502),
        ("status_500", {"method": "PATCH"}, 502),
        ("not_http", {"method": "PATCH"}, 502),
        ("status_401", {"method": "PATCH"}, 401),
        ("status_401_login", {"method": "PATCH"}, 401),
        ("html", {"method": "GET"}, 502),
    ],
)
def test_fault_of_miner_is_mapped_to_status_and_message(live_testbed, fault, options, status):
    service, (miner,) = live_testbed("2.12")
    if fault == "refuse":
        miner.power_off()
    else:
        miner.set_fault(fault, **options)
    response = patch_system(service, miner, info={"frequency": 400})
    assert response.status_code == status
    body = response.get_json()
    assert body["error"] == body["message"]
    assert " " in body["error"]
    assert miner.stored["frequency"] == 525


def test_required_one_time_code_is_reported(live_testbed):
    service, (miner,) = live_testbed({"generation": "nerd", "otp": True})
    response = patch_system(service, miner, info={"frequency": 500})
    assert response.status_code == 401
    assert "one-time code" in response.get_json()["error"]
    assert [entry["outcome"] for entry in service.read_data(service.client.get(f"/devices/{miner.mac}/journal"))] == [
        "failed"
    ]


def test_status_400_of_miner_is_returned_without_password(live_testbed):
    """The slot contains a value that the miner does not accept back, so it refuses the whole pool."""
    invalid_pool = {
        0: {
            "stratumURL": "old.example",
            "stratumPort": 3333,
            "stratumUser": "u",
            "stratumTLS": "no number",
            "stratumPassword": "x",
        }
    }
    complete_pool = {
        "stratumProtocol": "SV1",
        "stratumSuggestedDifficulty": 1000,
        "stratumExtranonceSubscribe": False,
        "stratumCert": "",
        "stratumDecodeCoinbase": True,
        "stratumV2ChannelType": "extended",
        "stratumV2AuthorityPubkey": "",
        "stratumV2RequireAuth": False,
    }
    service, (miner,) = live_testbed(
        {
            "generation": "2.15",
            "settings": {
                "pools": {0: {**complete_pool, **invalid_pool[0]}},
                "primaryPoolIndex": 0,
                "secondaryPoolIndex": 1,
            },
        }
    )
    response = patch_system(service, miner, info={"stratumURL": "new.example", "stratumPassword": "hunter2"})
    body = response.get_json()
    assert (response.status_code, body["error"]) == (400, "The miner refused the change and saved nothing of it")
    assert body["details"] == "Wrong API input"
    assert "hunter2" not in str(body)


@pytest.mark.parametrize("fault", ["reset", "short"])
def test_write_with_lost_response_is_verified_by_reading(live_testbed, fault):
    service, (miner,) = live_testbed("2.12")
    miner.set_fault(fault, method="PATCH")
    assert read_changes(patch_system(service, miner, info={"frequency": 400})) == {"frequency": (400, 400, "applied")}
    assert len(list_patches(miner)) == 1


def test_write_without_response_fails_or_is_in_doubt(live_testbed):
    service, (miner,) = live_testbed("2.12")
    miner.set_fault("not_http", method="PATCH")
    assert patch_system(service, miner, info={"frequency": 400}).status_code == 502
    miner.set_fault("hang", method="PATCH")
    began = time.monotonic()
    response = patch_system(service, miner, info={"frequency": 400})
    assert response.status_code == 504
    assert time.monotonic() - began < 16
    outcomes = [entry["outcome"] for entry in service.read_data(service.client.get(f"/devices/{miner.mac}/journal"))]
    assert outcomes == ["in_doubt", "failed"]
    assert service.runtime.desired_states.get_state(miner.mac).settings == {}


def test_slow_write_queue_is_awaited_until_deadline(live_testbed, make_fleet, make_service):
    slow = make_fleet({"generation": "2.12"}, timings=Timings(queue=1.2, mining=0.0, boot=0.3))
    service = make_service(slow)
    service.imprint_miners(*slow)
    service.wait_for_status("online", *slow)
    began = time.monotonic()
    assert read_changes(patch_system(service, slow[0], info={"frequency": 400}))["frequency"][2] == "applied"
    assert 1.0 < time.monotonic() - began < 3
    stuck = make_fleet(
        {"generation": "2.12"}, timings=Timings(queue=60, mining=0.0), first=5, port=slow[0].server.address[1]
    )
    service.imprint_miners(*stuck)
    service.wait_for_status("online", *stuck)
    began = time.monotonic()
    response = patch_system(service, stuck[0], info={"frequency": 400})
    assert 3.5 < time.monotonic() - began < 5
    assert (response.status_code, response.get_json()["error"]) == (400, "The miner took none of these settings")
    assert response.get_json()["details"] == {"frequency": ["The miner kept 525"]}


def test_concurrent_writes_are_serialized(live_testbed):
    service, (miner,) = live_testbed("2.12")
    both = [gevent.spawn(patch_system, service, miner, info={"frequency": value}) for value in (400, 490)]
    gevent.joinall(both)
    assert [each.value.status_code for each in both] == [200, 200]
    assert miner.max_in_flight == 1
    assert [body["frequency"] for body in list_patches(miner)] == [400, 490]


def test_overheat_latch_is_cleared_explicitly_and_not_by_saving(live_testbed):
    service, (miner,) = live_testbed("2.4")
    before = service.get_device(miner.mac)
    miner.set_fault("overheat")
    wait_until(lambda: miner.stored["overheat_mode"] == 1 and miner.powered)
    service.wait_for_status("online", miner)
    wait_until(lambda: service.get_device(miner.mac)["info"]["overheat_mode"] == 1)
    stale = service.client.patch(f"/devices/{miner.mac}/system", json=before)
    assert stale.status_code == 400
    assert "overheated" in stale.get_json()["details"]["frequency"][0]
    assert not miner.writes
    assert read_changes(patch_system(service, miner, info={"overheat_mode": 0, "frequency": 485, "coreVoltage": 1200}))[
        "overheat_mode"
    ] == (0, 0, "applied")


def test_write_is_published_at_once(live_testbed):
    service, (miner,) = live_testbed("2.12", poll_interval=4.0)
    observed_before = service.count_observations(miner.mac)
    patch_system(service, miner, info={"frequency": 400})
    assert service.count_observations(miner.mac) == observed_before + 1
    assert service.get_device(miner.mac)["info"]["frequency"] == 400


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 70000),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.text(max_size=12),
    st.sampled_from(
        ["*****", "<b>x", "65535", "stratum+tcp://p.example", "p.example", "", "x" * 400, [], {}, [1], {"a": "b"}]
    ),
)
_KEYS = st.sampled_from(
    [
        "frequency",
        "coreVoltage",
        "autofanspeed",
        "fanspeed",
        "manualFanSpeed",
        "minFanSpeed",
        "temptarget",
        "hostname",
        "display",
        "rotation",
        "invertscreen",
        "flipscreen",
        "displayTimeout",
        "statsFrequency",
        "stratumURL",
        "stratumPort",
        "stratumUser",
        "stratumPassword",
        "fallbackStratumURL",
        "fallbackStratumPort",
        "fallbackStratumUser",
        "ssid",
        "wifiPass",
        "pools",
        "overheat_mode",
        "useCustomWWW",
        "macAddr",
    ]
)


@pytest.mark.parametrize("generation", ["2.4", "2.12", "2.15", "nerd1.0.36"])
def test_generated_requests_never_violate_allow_list_or_limits(live_testbed, generation):
    """The requests go over HTTP with every value that JSON can hold; the miner's own store is the oracle."""
    service, (miner,) = live_testbed(
        {"generation": generation, "board": "601" if "nerd" not in generation else "nerdqaxe+"}
    )
    chip = miner.board.chip
    wifi = {key: miner.stored[key] for key in ("ssid", "wifiPass", "useCustomWWW")}

    @settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(_KEYS, _VALUES, min_size=1, max_size=5), st.booleans(), st.booleans())
    def send_generated_request(info, whole, overclock):
        values = {**service.get_device(miner.mac)["info"], **info} if whole else info
        response = patch_system(service, miner, info=values, allowOverclock=overclock)
        assert response.status_code in (200, 400), response.get_data(as_text=True)
        stored = miner.stored
        assert stored["frequency"] in chip.frequencies
        assert stored["coreVoltage"] in chip.voltages
        assert 0 <= stored["manualFanSpeed"] <= 100
        assert 35 <= stored["temptarget"] <= 66
        assert stored["autofanspeed"] in (0, 1, 2)
        assert 1 <= len(stored["hostname"]) <= 32
        assert {key: stored[key] for key in wifi} == wifi
        pool = get_primary_pool(stored)
        assert isinstance(pool["stratumPort"], int)
        assert 1 <= pool["stratumPort"] <= 65535
        assert pool["stratumURL"]
        assert "<" not in json.dumps(
            [stored["hostname"], pool["stratumURL"], pool["stratumUser"], pool["stratumPassword"]]
        )
        assert pool["stratumPassword"] != "*****"
        assert miner.powered

    send_generated_request()
