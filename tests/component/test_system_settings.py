"""PATCH /devices/:mac/system against every firmware: what arrives at the miner byte for byte, what it runs after, and
what the answer says of it."""

import json
import time

import gevent
import pytest
from fakes import eventually
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from writing import EVERY_FIRMWARE, patch, patches, pool_of, rows, save

from simulator import Timings, swap

# What a pool change looks like on the wire. 2.15: the slot's other members are what it held, in the miner's order.
_FLAT = b'{"stratumURL":"new.example","stratumPort":4444,"stratumUser":"bc1q.x","stratumPassword":"hunter2"}'
_SLOT = (
    b'{"pools":[{"id":0,"stratumProtocol":"SV1","stratumURL":"new.example","stratumPort":4444,"stratumUser":"bc1q.x",'
    b'"stratumSuggestedDifficulty":1000,"stratumExtranonceSubscribe":false,"stratumTLS":0,"stratumCert":"",'
    b'"stratumDecodeCoinbase":true,"stratumV2ChannelType":"extended","stratumV2AuthorityPubkey":"",'
    b'"stratumV2RequireAuth":false,"stratumPassword":"hunter2"}]}'
)
NEW_POOL = {"stratumURL": "new.example", "stratumPort": "4444", "stratumUser": "bc1q.x", "stratumPassword": "hunter2"}


@pytest.mark.parametrize("generation", EVERY_FIRMWARE)
def test_a_pool_byte_for_byte_and_what_it_mines_with_after_a_restart(home, generation):
    service, (miner,) = home(generation)
    changed = rows(patch(service, miner, info=NEW_POOL))
    assert miner.writes == [_SLOT if generation == "2.15" else _FLAT]
    status = "applied" if miner.generation.nerd else "pending_restart"
    assert changed == {
        "stratumURL": ("new.example", "new.example", status),
        "stratumPort": (4444, 4444, status),
        "stratumUser": ("bc1q.x", "bc1q.x", status),
        "stratumPassword": (None, None, status),
    }
    eventually(lambda: pool_of(miner.stored)["stratumPassword"] == "hunter2")
    assert pool_of(miner.running)["stratumURL"] == ("new.example" if miner.generation.nerd else "public-pool.io")
    miner.restart()
    eventually(lambda: pool_of(miner.running)["stratumURL"] == "new.example", 5)
    assert pool_of(miner.running)["stratumPort"] == 4444


_TUNING = {
    "2.1": b'{"frequency":500,"coreVoltage":1250,"autofanspeed":0,"manualFanSpeed":70,"fanspeed":70}',
    "nerd": b'{"frequency":500,"coreVoltage":1250,"autofanspeed":0,"manualFanSpeed":70,"pidTargetTemp":58}',
    "new": b'{"frequency":500,"coreVoltage":1250,"autofanspeed":0,"manualFanSpeed":70,"fanspeed":70,"temptarget":58}',
}


@pytest.mark.parametrize("generation", EVERY_FIRMWARE)
def test_tuning_byte_for_byte_and_live(home, generation):
    service, (miner,) = home({"generation": generation, "board": "401" if "nerd" not in generation else "nerdqaxe+"})
    wanted = {"frequency": 500, "coreVoltage": 1250, "autofanspeed": False, "manualFanSpeed": 70}
    has_target = generation not in ("2.1", "2.4")
    changed = rows(patch(service, miner, info={**wanted, **({"temptarget": 58} if has_target else {})}))
    (body,) = miner.writes
    assert body == _TUNING["nerd" if miner.generation.nerd else "new" if has_target else "2.1"]
    assert {status for _, _, status in changed.values()} == {"applied"}
    expected = {"frequency": 500, "coreVoltage": 1250, "autofanspeed": 0, "manualFanSpeed": 70}
    eventually(lambda: {key: miner.running[key] for key in expected} == expected)
    assert miner.running["temptarget"] == (58 if has_target else miner.running["temptarget"])


@pytest.mark.parametrize("generation", EVERY_FIRMWARE)
def test_saving_a_device_as_it_is_sends_nothing(home, generation):
    """Defect 32: the original forwarded the whole telemetry to the miner."""
    service, (miner,) = home(generation)
    before = dict(miner.stored)
    response = save(service, miner)
    assert response.status_code == 200
    body = response.get_json()
    assert (body["message"], body["changes"]) == ("Device system info updated successfully", [])
    assert body["data"]["mac"] == miner.mac
    gevent.sleep(0.6)  # polls move the readings on, and the client's object grows old
    old = {
        "power": 1,
        "temp": 80.5,
        "hashRate": 3,
        "uptimeSeconds": 1,
        "fanspeed": 3,
        "sharesAccepted": 0,
        "wifiRSSI": -1,
    }
    assert rows(save(service, miner, **old)) == {}
    assert not miner.writes
    assert dict(miner.stored) == before


@pytest.mark.parametrize("generation", ["2.4", "2.7", "2.10", "2.12", "2.15"])
def test_saving_one_edit_sends_that_alone(home, generation):
    service, (miner,) = home(generation)
    changed = rows(save(service, miner, hostname="renamed"))
    assert miner.writes == [b'{"hostname":"renamed"}']
    assert changed == {"hostname": ("renamed", "renamed", "applied" if generation == "2.15" else "pending_restart")}
    assert service.device(miner.mac)["info"]["hostname"] == "renamed"


@pytest.mark.parametrize("generation", ["2.4", "2.12"])
def test_a_restart_only_if_asked_and_needed(home, generation):
    service, (miner,) = home(generation)
    key = "flipscreen" if generation == "2.4" else "rotation"
    live = patch(service, miner, info={"frequency": 400}, restart=True).get_json()
    assert (live["restarted"], miner.requests["POST", "/api/system/restart"]) == (False, 0)
    asked = patch(service, miner, info={key: 0 if key == "flipscreen" else 90}, restart=True).get_json()
    assert asked["restarted"] is True
    assert asked["changes"][0]["reason"] == "Takes effect with the restart that was just started"
    eventually(lambda: not miner.powered)
    eventually(lambda: miner.powered and miner.running[key] == (0 if key == "flipscreen" else 90))
    again = patch(service, miner, info={key: 1 if key == "flipscreen" else 180}, restart=True)
    assert again.status_code == 429
    assert len(patches(miner)) == 2


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
def test_hostile_values_reach_no_device_and_good_ones_beside_them_neither(home, generation):
    service, (miner,) = home(generation)
    for bad in HOSTILE:
        response = patch(service, miner, info={"invertscreen": 1, **bad})
        assert response.status_code == 400, bad
        body = response.get_json()
        assert set(body["details"]) & set(bad), body
        assert body["message"] == body["error"]
    assert not miner.writes


@pytest.mark.parametrize(
    "body",
    [{"info": []}, {"info": None}, {"restart": "yes"}, {"allowOverclock": 1}, {"presetUuid": 5}, [], "x", {"mac": 5}],
)
def test_wrong_types_are_400_with_the_field(home, body):
    service, (miner,) = home("2.12", auto_listen=False)
    response = service.client.patch(f"/devices/{miner.mac}/system", json=body)
    assert response.status_code == 400
    assert response.get_json()["details"]
    assert not miner.requests


def test_overclocking_has_to_be_unlocked_there_and_asked_for_here_and_has_limits(home):
    service, (locked, free) = home("2.12", {"generation": "2.12", "settings": {"overclockEnabled": 1}})
    assert patch(service, locked, info={"frequency": 700}, allowOverclock=True).status_code == 400
    assert (
        patch(service, locked, info={"frequency": 700, "overclockEnabled": 1}, allowOverclock=True).status_code == 400
    )
    assert patch(service, free, info={"frequency": 700}).status_code == 400
    for key, value in (("frequency", 938), ("frequency", 199), ("coreVoltage", 1401), ("coreVoltage", 849)):
        assert patch(service, free, info={key: value}, allowOverclock=True).status_code == 400
    assert not locked.writes
    assert not free.writes
    assert (
        rows(patch(service, free, info={"frequency": 937.5, "coreVoltage": 850}, allowOverclock=True))["frequency"][2]
        == "applied"
    )
    assert free.writes == [b'{"frequency":937.5,"coreVoltage":850}']
    options = service.ok(service.client.get(f"/devices/{free.mac}/options"))
    assert options["overclock"] == {
        "unlocked": True,
        "frequency": {"min": 200.0, "max": 937.5},
        "coreVoltage": {"min": 850, "max": 1400},
    }


def test_an_odd_value_that_the_miner_has_itself_is_no_obstacle(home):
    odd = {"frequency": 606.25, "hostname": "Büro <b>", "overclockEnabled": 1}
    service, (miner,) = home({"generation": "2.12", "settings": odd})
    assert rows(save(service, miner, temptarget=58)) == {"temptarget": (58, 58, "applied")}
    assert miner.writes == [b'{"temptarget":58}']


@pytest.mark.parametrize("generation", ["2.4", "2.7", "nerd1.0.36"])
def test_options_of_a_device_that_nobody_polls_are_asked_for_before_a_write(home, generation):
    service, (miner,) = home(generation, auto_listen=False)
    assert patch(service, miner, info={"frequency": 65535}).status_code == 400
    assert (
        rows(patch(service, miner, info={"frequency": 400 if "nerd" not in generation else 500}))["frequency"][2]
        == "applied"
    )
    assert miner.requests["GET", "/api/system/asic"] == 1
    options = service.ok(service.client.get(f"/devices/{miner.mac}/options"))
    assert options["frequencies"] == list(miner.board.chip.frequencies)
    assert options["source"] == ("device" if miner.generation.has_asic else "table")


def test_wifi_is_left_alone(home):
    service, (miner,) = home("2.12")
    response = patch(service, miner, info={"ssid": "typo", "wifiPass": "hunter2"})
    assert response.status_code == 400
    assert "own page" in response.get_json()["details"]["ssid"][0]
    assert rows(patch(service, miner, info={"ssid": "typo", "temptarget": 58}))["ssid"][2] == "refused"
    assert miner.writes == [b'{"temptarget":58}']


def test_what_the_firmware_does_not_have_is_refused_and_the_rest_is_done(home):
    service, (miner,) = home("2.4")
    changed = rows(patch(service, miner, info={"minFanSpeed": 30, "frequency": 400}))
    assert {key: status for key, (_, _, status) in changed.items()} == {
        "frequency": "applied",
        "minFanSpeed": "refused",
    }
    assert miner.writes == [b'{"frequency":400}']
    none = patch(service, miner, info={"minFanSpeed": 30})
    assert none.status_code == 400
    assert none.get_json()["details"] == {"minFanSpeed": ["This firmware reports no such setting, so it was not sent"]}


@pytest.mark.parametrize("fault", ["other_mac", "swap"])
def test_another_miner_at_the_address_gets_nothing(home, fault):
    """Defect of the tools before us: edits that hit the wrong miner."""
    service, (one, other) = home("2.12", "2.12", auto_listen=False)
    if fault == "swap":
        swap(one, other)
    else:
        one.set_fault("other_mac")
    response = patch(service, one, info={"frequency": 400})
    assert response.status_code == 409
    assert not one.writes
    assert not other.writes


def test_firmware_without_a_mac_is_checked_by_what_it_does_report(home, make_fleet, tmp_path):
    """AxeOS 2.1 reports no MAC: another board at the address, and no neighbour table to tell."""
    service, (miner,) = home("2.1", neighbour_table=tmp_path / "none")
    assert rows(patch(service, miner, info={"frequency": 400}))["frequency"][2] == "applied"
    where = miner.leave()
    (other,) = make_fleet({"generation": "2.1", "board": "102", "address": where}, first=9)
    assert patch(service, miner, info={"frequency": 485}).status_code == 409
    assert not other.writes


def test_another_devices_object_is_refused(home):
    service, (one, other) = home("2.12", "2.12")
    response = service.client.patch(f"/devices/{one.mac}/system", json=service.device(other.mac))
    assert (response.status_code, list(response.get_json()["details"])) == (400, ["mac"])
    assert (
        service.client.patch(
            f"/devices/{one.mac.upper().replace(':', '-')}/system", json=service.device(one.mac)
        ).status_code
        == 200
    )


@pytest.mark.parametrize("mac", ["x", "", "02:00:5e", "02:00:5e:00:00:zz"])
def test_an_object_whose_mac_is_none_is_refused_in_a_sentence(home, mac):
    service, (miner,) = home("2.12", auto_listen=False)
    response = service.client.patch(f"/devices/{miner.mac}/system", json={"mac": mac, "info": {"frequency": 400}})
    assert (response.status_code, response.get_json()["details"]) == (400, {"mac": ["Not a MAC address."]})
    assert not miner.requests


def test_unknown_devices_and_devices_without_an_address(service):
    assert service.client.patch("/devices/02:00:5e:00:00:99/system", json={}).status_code == 404
    assert service.client.patch("/devices/nonsense/system", json={"info": {}}).status_code == 404


def test_nothing_asked_is_nothing_done_even_of_a_dead_miner(home):
    service, (miner,) = home("2.12")
    miner.power_off()
    for body in ({}, {"restart": True}, {"presetUuid": None}, {"info": {}}):
        response = patch(service, miner, **body)
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
def test_what_the_miner_does_instead_becomes_a_sentence(home, fault, options, status):
    service, (miner,) = home("2.12")
    if fault == "refuse":
        miner.power_off()
    else:
        miner.set_fault(fault, **options)
    response = patch(service, miner, info={"frequency": 400})
    assert response.status_code == status
    body = response.get_json()
    assert body["error"] == body["message"]
    assert " " in body["error"]
    assert miner.stored["frequency"] == 525


def test_a_one_time_code_is_asked_for_in_words(home):
    service, (miner,) = home({"generation": "nerd", "otp": True})
    response = patch(service, miner, info={"frequency": 500})
    assert response.status_code == 401
    assert "one-time code" in response.get_json()["error"]
    assert [entry["outcome"] for entry in service.ok(service.client.get(f"/devices/{miner.mac}/journal"))] == ["failed"]


def test_a_400_of_the_miner_says_so_and_quotes_it_without_the_password(home):
    """Its own slot holds what it would not take back, so the whole of the pool is refused."""
    odd = {
        0: {
            "stratumURL": "old.example",
            "stratumPort": 3333,
            "stratumUser": "u",
            "stratumTLS": "no number",
            "stratumPassword": "x",
        }
    }
    full = {
        "stratumProtocol": "SV1",
        "stratumSuggestedDifficulty": 1000,
        "stratumExtranonceSubscribe": False,
        "stratumCert": "",
        "stratumDecodeCoinbase": True,
        "stratumV2ChannelType": "extended",
        "stratumV2AuthorityPubkey": "",
        "stratumV2RequireAuth": False,
    }
    service, (miner,) = home(
        {
            "generation": "2.15",
            "settings": {"pools": {0: {**full, **odd[0]}}, "primaryPoolIndex": 0, "secondaryPoolIndex": 1},
        }
    )
    response = patch(service, miner, info={"stratumURL": "new.example", "stratumPassword": "hunter2"})
    body = response.get_json()
    assert (response.status_code, body["error"]) == (400, "The miner refused the change and saved nothing of it")
    assert body["details"] == "Wrong API input"
    assert "hunter2" not in str(body)


@pytest.mark.parametrize("fault", ["reset", "short"])
def test_a_write_whose_answer_is_lost_is_settled_by_reading(home, fault):
    service, (miner,) = home("2.12")
    miner.set_fault(fault, method="PATCH")
    assert rows(patch(service, miner, info={"frequency": 400})) == {"frequency": (400, 400, "applied")}
    assert len(patches(miner)) == 1


def test_a_write_that_never_arrived_is_an_error_and_in_doubt(home):
    service, (miner,) = home("2.12")
    miner.set_fault("not_http", method="PATCH")
    assert patch(service, miner, info={"frequency": 400}).status_code == 502
    miner.set_fault("hang", method="PATCH")
    began = time.monotonic()
    response = patch(service, miner, info={"frequency": 400})
    assert response.status_code == 504
    assert time.monotonic() - began < 16
    outcomes = [entry["outcome"] for entry in service.ok(service.client.get(f"/devices/{miner.mac}/journal"))]
    assert outcomes == ["in_doubt", "failed"]
    assert service.runtime.intents.of(miner.mac).settings == {}


def test_a_queue_that_is_slow_is_waited_for_but_not_for_ever(home, make_fleet, make_service):
    slow = make_fleet({"generation": "2.12"}, timings=Timings(queue=1.2, mining=0.0, boot=0.3))
    service = make_service(slow)
    service.imprint(*slow)
    service.await_status("online", *slow)
    began = time.monotonic()
    assert rows(patch(service, slow[0], info={"frequency": 400}))["frequency"][2] == "applied"
    assert 1.0 < time.monotonic() - began < 3
    stuck = make_fleet(
        {"generation": "2.12"}, timings=Timings(queue=60, mining=0.0), first=5, port=slow[0].door.address[1]
    )
    service.imprint(*stuck)
    service.await_status("online", *stuck)
    began = time.monotonic()
    response = patch(service, stuck[0], info={"frequency": 400})
    assert 3.5 < time.monotonic() - began < 5
    assert (response.status_code, response.get_json()["error"]) == (400, "The miner took none of these settings")
    assert response.get_json()["details"] == {"frequency": ["The miner kept 525"]}


def test_two_writes_at_once_are_one_after_the_other(home):
    service, (miner,) = home("2.12")
    both = [gevent.spawn(patch, service, miner, info={"frequency": value}) for value in (400, 490)]
    gevent.joinall(both)
    assert [each.value.status_code for each in both] == [200, 200]
    assert miner.max_in_flight == 1
    assert [body["frequency"] for body in patches(miner)] == [400, 490]


def test_the_overheat_latch_is_cleared_by_name_and_not_by_saving(home):
    service, (miner,) = home("2.4")
    before = service.device(miner.mac)
    miner.set_fault("overheat")
    eventually(lambda: miner.stored["overheat_mode"] == 1 and miner.powered)
    service.await_status("online", miner)
    eventually(lambda: service.device(miner.mac)["info"]["overheat_mode"] == 1)
    stale = service.client.patch(f"/devices/{miner.mac}/system", json=before)
    assert stale.status_code == 400
    assert "overheated" in stale.get_json()["details"]["frequency"][0]
    assert not miner.writes
    assert rows(patch(service, miner, info={"overheat_mode": 0, "frequency": 485, "coreVoltage": 1200}))[
        "overheat_mode"
    ] == (0, 0, "applied")


def test_a_listening_browser_hears_of_the_change_at_once(home):
    service, (miner,) = home("2.12", poll_interval=4.0)
    heard = service.observed(miner.mac)
    patch(service, miner, info={"frequency": 400})
    assert service.observed(miner.mac) == heard + 1
    assert service.device(miner.mac)["info"]["frequency"] == 400


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
def test_nothing_outside_the_list_and_the_limits_ever_arrives(home, generation):
    """Over HTTP, with every value that JSON can hold; the oracle is the miner's own store."""
    service, (miner,) = home({"generation": generation, "board": "601" if "nerd" not in generation else "nerdqaxe+"})
    chip = miner.board.chip
    wifi = {key: miner.stored[key] for key in ("ssid", "wifiPass", "useCustomWWW")}

    @settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(_KEYS, _VALUES, min_size=1, max_size=5), st.booleans(), st.booleans())
    def attack(info, whole, overclock):
        given = {**service.device(miner.mac)["info"], **info} if whole else info
        response = patch(service, miner, info=given, allowOverclock=overclock)
        assert response.status_code in (200, 400), response.get_data(as_text=True)
        stored = miner.stored
        assert stored["frequency"] in chip.frequencies
        assert stored["coreVoltage"] in chip.voltages
        assert 0 <= stored["manualFanSpeed"] <= 100
        assert 35 <= stored["temptarget"] <= 66
        assert stored["autofanspeed"] in (0, 1, 2)
        assert 1 <= len(stored["hostname"]) <= 32
        assert {key: stored[key] for key in wifi} == wifi
        pool = pool_of(stored)
        assert isinstance(pool["stratumPort"], int)
        assert 1 <= pool["stratumPort"] <= 65535
        assert pool["stratumURL"]
        assert "<" not in json.dumps(
            [stored["hostname"], pool["stratumURL"], pool["stratumUser"], pool["stratumPassword"]]
        )
        assert pool["stratumPassword"] != "*****"
        assert miner.powered

    attack()
