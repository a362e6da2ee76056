"""The allow-list, the limits and the dialects of writes, without a miner."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.miners.dialect_writes import acts_live, body_of, slot_problems
from app.miners.dialects import dialect_of
from app.miners.limits import bands, problems
from app.miners.options import Options, options_from_asic, options_from_table, with_present
from app.miners.setting_changes import difference
from app.miners.settings import ALIASES, SETTINGS, Change, present, runs, same

POOL = {"stratumURL": "old.example", "stratumPort": 3333, "stratumUser": "bc1q.old"}
OLD = {
    "ASICModel": "BM1366",
    "version": "v2.4.5",
    "frequency": 485,
    "coreVoltage": 1200,
    "autofanspeed": 1,
    "fanspeed": 57,
    "flipscreen": 1,
    "overheat_mode": 0,
    "hostname": "My Miner",
    "ssid": "home",
    **POOL,
    "fallbackStratumURL": "",
    "fallbackStratumPort": 3333,
    "fallbackStratumUser": "",
}
NEW = {
    **OLD,
    "version": "v2.12.2",
    "frequency": 606.25,
    "fanspeed": 35.38,
    "manualFanSpeed": 60,
    "minFanSpeed": 25,
    "overclockEnabled": 0,
    "temptarget": 60,
    "displayTimeout": -1,
    "rotation": 0,
}
SLOT = {"id": 0, **POOL, "stratumTLS": 0, "stratumExtranonceSubscribe": False}
SLOTS = {**NEW, "version": "v2.15.0", "pools": [SLOT], "primaryPoolIndex": 0, "secondaryPoolIndex": 1}
for _key in ("fallbackStratumURL", "fallbackStratumPort", "fallbackStratumUser"):
    del SLOTS[_key]
NERD = {
    **POOL,
    "ASICModel": "BM1368",
    "deviceModel": "NerdQAxe+",
    "version": "v1.0.30",
    "frequency": 490,
    "autofanspeed": 2,
    "fanspeed": 57,
    "pidTargetTemp": 55,
    "flipscreen": 1,
    "stratumDifficulty": 1000,
    "coreVoltage": 1166,
}


def asked(info: dict[str, Any], **values: Any) -> dict[str, Any]:
    """What goes into the PATCH body."""
    found = difference(values, {}, info)
    assert not found.problems
    return body_of(found.changes, info, dialect_of(info))


def echoed(info: dict[str, Any], **edits: Any) -> dict[str, Any]:
    """The body when a client sends the whole object back with edits."""
    found = difference({}, {**info, **edits}, info)
    assert not found.problems
    return body_of(found.changes, info, dialect_of(info))


@pytest.mark.parametrize("info", [OLD, NEW, SLOTS, NERD], ids=["2.4", "2.12", "2.15", "nerd"])
class TestWholeObjects:
    def test_what_comes_back_as_it_was_is_no_change(self, info):
        assert echoed(info) == {}

    def test_readings_that_moved_meanwhile_are_no_change(self, info):
        assert (
            echoed(
                info, fanspeed=99, power=1, temp=70.5, hashRate=1.5, uptimeSeconds=5, frequencyOptions=[{"label": "1"}]
            )
            == {}
        )

    def test_numbers_of_another_type_are_no_change(self, info):
        changed = {
            key: str(value) for key, value in info.items() if isinstance(value, (int, float)) and key != "fanspeed"
        }
        assert echoed(info, **changed) == {}
        assert echoed(info, **{key: float(value) for key, value in info.items() if isinstance(value, int)}) == {}

    def test_what_nobody_knows_of_and_nulls_are_passed_over(self, info):
        assert (
            echoed(
                info,
                wifiRSSI=None,
                stratumUser=None,
                coreVoltage=None,
                somethingNew={"a": 1},
                boardVersion="999",
                macAddr="x",
            )
            == {}
        )

    def test_the_filler_for_a_user_that_is_not_known_is_no_user(self, info):
        """A device that was not polled yet has `stratumUser: ""` for clients."""
        assert echoed(info, stratumUser="") == {}

    def test_an_edit_is_a_change(self, info):
        assert echoed(info, hostname="edited") == ({"hostname": "edited"} if "hostname" in info else {})


def test_the_overheat_latch_is_a_reading_in_a_whole_object_and_a_command_by_itself():
    hot = {**OLD, "overheat_mode": 1}
    assert echoed(hot, overheat_mode=0) == {}
    assert echoed(OLD, overheat_mode=1) == {}
    assert asked(hot, overheat_mode=0) == {"overheat_mode": 0}
    assert difference({"overheat_mode": 1}, {}, OLD).problems.keys() == {"overheat_mode"}


def test_an_object_from_before_the_overheating_does_not_undo_the_firmwares_precautions():
    hot = {**OLD, "overheat_mode": 1, "frequency": 50, "coreVoltage": 1000, "autofanspeed": 0, "fanspeed": 100}
    before = {**OLD, "hostname": "renamed"}
    found = difference({}, before, hot)
    assert found.problems.keys() == {"frequency", "coreVoltage", "autofanspeed"}
    # One that was loaded afterwards is somebody's decision.
    assert echoed(hot, frequency=485) == {"frequency": 485}


@pytest.mark.parametrize(
    ("info", "values", "body"),
    [
        (OLD, {"autofanspeed": 0, "fanspeed": 70}, {"autofanspeed": 0, "manualFanSpeed": 70, "fanspeed": 70}),
        ({**OLD, "autofanspeed": 0}, {"manualFanSpeed": 70}, {"manualFanSpeed": 70, "fanspeed": 70}),
        ({**OLD, "autofanspeed": 0}, {"manualFanSpeed": 58}, {}),
        (OLD, {"manualFanSpeed": 70}, {}),
        (NEW, {"manualFanSpeed": 70}, {"manualFanSpeed": 70, "fanspeed": 70}),
        (NEW, {"fanspeed": 70}, {"manualFanSpeed": 70, "fanspeed": 70}),
        (NERD, {"autofanspeed": False, "manualFanSpeed": 70}, {"autofanspeed": 0, "manualFanSpeed": 70}),
        (
            {**OLD, "fanSpeed": 4000, "version": "v2.1.3"},
            {"manualFanSpeed": 58},
            {"manualFanSpeed": 58, "fanspeed": 58},
        ),
    ],
)
def test_the_fan_has_two_names_and_one_of_them_is_a_reading(info, values, body):
    if "fanSpeed" in info:
        info = {**info, "autofanspeed": 0}
    assert asked(info, **values) == body


@pytest.mark.parametrize(
    ("info", "value", "sent"),
    [
        (NEW, False, 0),
        (NEW, 0, 0),
        (NEW, True, None),
        (NEW, 2, None),
        (NERD, True, None),
        (NERD, 1, 1),
        (NERD, 0, 0),
        ({**NERD, "autofanspeed": 0}, True, 2),
    ],
)
def test_automatic_is_1_on_axeos_and_2_on_nerdos(info, value, sent):
    assert asked(info, autofanspeed=value) == ({} if sent is None else {"autofanspeed": sent})


def test_flags_are_numbers_for_axeos_and_booleans_for_nerdos():
    assert asked({**OLD, "invertscreen": 0}, flipscreen=False, invertscreen=True) == {
        "flipscreen": 0,
        "invertscreen": 1,
    }
    body = asked({**NERD, "invertscreen": 0}, flipscreen=0, invertscreen=1)
    assert (body["flipscreen"], body["invertscreen"]) == (False, True)
    assert all(isinstance(value, bool) for value in body.values())


def test_nerdos_has_names_of_its_own():
    assert asked(NERD, temptarget=60, stratumSuggestedDifficulty=512) == {"pidTargetTemp": 60, "stratumDifficulty": 512}
    assert asked(NERD, pidTargetTemp=60, stratumDifficulty=512) == {"pidTargetTemp": 60, "stratumDifficulty": 512}
    assert asked(NERD, temptarget=55) == {}


@pytest.mark.parametrize(("info", "fits"), [(OLD, False), (NERD, False), (NEW, True), (SLOTS, True)])
def test_fractions_of_a_megahertz_are_only_for_firmware_that_takes_them(info, fits):
    found = difference({"frequency": 533.5}, {}, info)
    assert (not found.problems) is fits


def test_a_firmware_is_not_asked_for_what_it_does_not_report():
    found = difference({"minFanSpeed": 30, "rotation": 90, "hostname": "x"}, {}, OLD)
    assert [change.key for change in found.changes] == ["hostname"]
    assert {key: status for key, (status, _, _) in found.unsent.items()} == {
        "minFanSpeed": "refused",
        "rotation": "refused",
    }
    # But for passwords, and for what AxeOS 2.11 to 2.14 takes without saying it.
    assert asked(NEW, stratumPassword="pw", useFallbackStratum=True) == {
        "stratumPassword": "pw",
        "useFallbackStratum": 1,
    }
    assert not difference(
        {"fallbackStratumPassword": "pw"}, {}, POOL | {"ASICModel": "BM1366", "version": "v2.1.3"}
    ).changes


def test_wifi_is_told_why_not():
    found = difference({"ssid": "other", "wifiPass": "hunter2"}, {}, NEW)
    assert not found.changes
    assert {key: (status, value) for key, (status, value, _) in found.unsent.items()} == {
        "ssid": ("refused", "other"),
        "wifiPass": ("refused", None),
    }
    assert not difference({}, {**NEW, "wifiPass": "*****"}, NEW).unsent


@pytest.mark.parametrize("mask", ["*****", "", None])
def test_a_masked_password_is_none(mask):
    assert asked(NEW, stratumPassword=mask, fallbackStratumPassword=mask) == {}
    assert echoed(SLOTS, stratumPassword=mask) == {}


class TestSlots:
    """AxeOS ≥ 2.15: whole pool objects, the rest of which is what the slot holds."""

    def test_members_that_stay_are_said_too_and_the_mask_keeps_the_password(self):
        assert asked(SLOTS, stratumURL="new.example") == {
            "pools": [{**SLOT, "stratumURL": "new.example", "stratumPassword": "*****"}]
        }
        assert asked(SLOTS, stratumPassword="pw") == {"pools": [{**SLOT, "stratumPassword": "pw"}]}

    def test_nulls_are_not_said_back(self):
        info = {**SLOTS, "pools": [{**SLOT, "stratumCert": None}]}
        assert "stratumCert" not in asked(info, stratumPort=1)["pools"][0]

    def test_slots_are_found_by_id(self):
        other = {**SLOT, "id": 3, "stratumURL": "three.example"}
        info = {**SLOTS, "pools": [other, SLOT], "primaryPoolIndex": 3, "stratumURL": "three.example"}
        assert asked(info, stratumPort=1)["pools"] == [{**other, "stratumPort": 1, "stratumPassword": "*****"}]

    def test_a_slot_that_is_not_configured_is_made_whole_or_not_at_all(self):
        half = difference({"fallbackStratumURL": "fb.example"}, {}, SLOTS)
        assert slot_problems(half.changes, SLOTS, dialect_of(SLOTS)).keys() == {
            "fallbackStratumPort",
            "fallbackStratumUser",
        }
        whole = {"fallbackStratumURL": "fb.example", "fallbackStratumPort": 1, "fallbackStratumUser": "u"}
        assert asked(SLOTS, **whole) == {
            "pools": [{"id": 1, "stratumURL": "fb.example", "stratumPort": 1, "stratumUser": "u"}]
        }

    def test_an_empty_fallback_where_there_is_none_is_no_change(self):
        assert asked(SLOTS, fallbackStratumURL="", fallbackStratumUser="") == {}
        assert asked(OLD, fallbackStratumURL="", fallbackStratumUser="") == {}

    def test_a_fallback_cannot_be_taken_away(self):
        info = {**SLOTS, "pools": [SLOT, {**SLOT, "id": 1}], "fallbackStratumURL": "old.example"}
        found = difference({"fallbackStratumURL": ""}, {}, info)
        assert slot_problems(found.changes, info, dialect_of(info)).keys() == {"fallbackStratumURL"}
        flat = {**OLD, "fallbackStratumURL": "old.example"}
        assert asked(flat, fallbackStratumURL="") == {"fallbackStratumURL": ""}

    def test_another_slot_has_to_hold_a_pool_and_is_chosen_by_itself(self):
        info = {**SLOTS, "pools": [SLOT, {**SLOT, "id": 2}]}
        for values, fits in (
            ({"primaryPoolIndex": 2}, True),
            ({"primaryPoolIndex": 5}, False),
            ({"primaryPoolIndex": 2, "stratumURL": "new.example"}, False),
        ):
            found = difference(values, {}, info)
            assert (not slot_problems(found.changes, info, dialect_of(info))) is fits, values


@pytest.mark.parametrize(
    ("info", "key", "live"),
    [
        (OLD, "frequency", True),
        (OLD, "stratumURL", False),
        (SLOTS, "stratumURL", False),
        (NERD, "stratumURL", True),
        (NEW, "hostname", False),
        (SLOTS, "hostname", True),
        (NEW, "rotation", False),
        (NEW, "displayTimeout", True),
    ],
)
def test_what_needs_a_restart(info, key, live):
    assert acts_live(Change(SETTINGS[key], 0, None), dialect_of(info)) is live


OPTIONS = Options((400, 490, 525), (1000, 1150))


@pytest.mark.parametrize(
    ("value", "unlocked", "allow", "fits"),
    [
        (490, 0, False, True),
        (500, 0, False, False),
        (500, 1, False, False),
        (500, 0, True, False),
        (500, 1, True, True),
        (200, 1, True, True),
        (199, 1, True, False),
        (787.5, 1, True, True),
        (788, 1, True, False),
        (65535, 1, True, False),
        (1, 1, True, False),
    ],
)
def test_frequencies_are_the_vendors_or_within_the_hard_limits_of_an_unlocked_miner(value, unlocked, allow, fits):
    change = Change(SETTINGS["frequency"], value, 400)
    assert (not problems([change], {"overclockEnabled": unlocked}, OPTIONS, allow_overclock=allow)) is fits


@pytest.mark.parametrize(("value", "fits"), [(849, False), (850, True), (1300, True), (1301, False)])
def test_voltages_go_150_mv_beyond(value, fits):
    change = Change(SETTINGS["coreVoltage"], value, 1000)
    assert (not problems([change], {"overclockEnabled": True}, OPTIONS, allow_overclock=True)) is fits


def test_nerdos_absolute_limits_are_lower_ones():
    asic = {"frequencyOptions": [400, 500], "voltageOptions": [1000, 1100], "absMaxFrequency": 600, "absMaxVoltage": 0}
    options = options_from_asic(asic)
    assert bands(options) == {"frequency": (200, 600), "coreVoltage": (850, 1250)}


@pytest.mark.parametrize(
    ("present", "shown"),
    [
        (490, (400, 490, 525)),
        (500, (400, 490, 500, 525)),
        (500.0, (400, 490, 500, 525)),
        ("606.25", (400, 490, 525, 606.25)),
        (65, (65, 400, 490, 525)),
        (None, (400, 490, 525)),
        ("fast", (400, 490, 525)),
        (True, (400, 490, 525)),
        (float("nan"), (400, 490, 525)),
    ],
)
def test_the_present_value_is_among_the_options_that_are_shown(present, shown):
    options = with_present(OPTIONS, {"frequency": present})
    assert (options.frequencies, options.voltages) == (shown, OPTIONS.voltages)
    assert with_present(Options((), ()), {"frequency": 500, "coreVoltage": 1200}) == Options((500,), (1200,))


def test_575_is_an_option_of_a_bm1370():
    assert 575 in options_from_table({"ASICModel": "BM1370", "boardVersion": "601"}).frequencies


def test_nothing_is_set_where_nobody_lists_options():
    change = Change(SETTINGS["frequency"], 500, 400)
    assert problems([change], {"overclockEnabled": 1}, Options((), ()), allow_overclock=True).keys() == {"frequency"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("stratumPort", "abc"),
        ("stratumPort", 0),
        ("stratumPort", 65536),
        ("stratumPort", True),
        ("stratumPort", 3333.5),
        ("stratumPort", [1]),
        ("hostname", "x" * 400),
        ("hostname", "<script>"),
        ("hostname", ""),
        ("hostname", "-a"),
        ("hostname", 5),
        ("stratumURL", "http://pool.example"),
        ("stratumURL", "pool.example:3333"),
        ("stratumURL", "pool.example/x"),
        ("stratumURL", ""),
        ("stratumUser", "a\nb"),
        ("stratumUser", "<b>"),
        ("stratumUser", ""),
        ("stratumUser", "x" * 256),
        ("stratumUser", {}),
        ("frequency", "fast"),
        ("frequency", 0),
        ("frequency", -1),
        ("frequency", float("nan")),
        ("frequency", float("inf")),
        ("frequency", 65536),
        ("coreVoltage", 1150.5),
        ("manualFanSpeed", 101),
        ("manualFanSpeed", -1),
        ("minFanSpeed", 100),
        ("temptarget", 34),
        ("temptarget", 67),
        ("rotation", 45),
        ("displayTimeout", -2),
        ("autofanspeed", 3),
        ("autofanspeed", "on"),
        ("overclockEnabled", "yes"),
        ("stratumTLS", 4),
        ("stratumProtocol", "SV3"),
        ("stratumProtocol", 1),
        ("stratumPassword", "x" * 129),
        ("stratumPassword", 5),
        ("stratumPassword", "a\x00"),
        ("primaryPoolIndex", 8),
        ("stratumCert", "x" * 3001),
        ("invertscreen", 2),
    ],
)
def test_what_is_no_value(key, value):
    with pytest.raises(ValueError, match="^Must|^\\*{5} is"):
        SETTINGS[key].kind(value)


def test_a_refusal_never_repeats_a_password():
    with pytest.raises(ValueError) as caught:
        SETTINGS["stratumPassword"].kind("hunter2\n")
    assert "hunter2" not in str(caught.value)


def test_a_scheme_is_stripped_since_firmware_strips_none():
    assert asked(NEW, stratumURL="stratum+tcp://new.example") == {"stratumURL": "new.example"}
    assert asked(NEW, stratumURL="stratum+tcp://old.example") == {}


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        (485, "485", True),
        (606.25, 606.2500001, True),
        (True, 1, True),
        (0, False, True),
        ("007", "7", False),
        ("1e3", "1000", False),
        (None, 0, False),
        ("", None, False),
        (485, 486, False),
        ([1], [1], True),
        ("a", 5, False),
    ],
)
def test_same(left, right, equal):
    assert same(left, right) is equal


def test_a_manual_fan_speed_is_unknown_while_the_fan_regulates_itself_and_only_a_reading_tells():
    setting = SETTINGS["manualFanSpeed"]
    assert present(setting, OLD) is None
    assert present(setting, {**OLD, "autofanspeed": 0}) == 57
    assert present(setting, NEW) == 60
    assert runs(setting, 58, {**OLD, "autofanspeed": 0})
    assert not runs(setting, 61, NEW)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-70000, 70000)
    | st.floats()
    | st.text(max_size=40)
    | st.sampled_from(["*****", "stratum+tcp://x", "<img src=x>", "65535", "1e5", "", "x" * 400, 65535, 1e308, -1]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
KEYS = st.sampled_from([*SETTINGS, *ALIASES, "ssid", "wifiPass", "pools", "power", "x"])


@given(
    st.dictionaries(KEYS, JSON, max_size=8),
    st.dictionaries(KEYS, JSON, max_size=8),
    st.sampled_from([OLD, NEW, SLOTS, NERD]),
)
def test_whatever_is_asked_only_known_settings_of_the_right_type_are_said(values, edits, info):
    """The oracle is the firmware's: names from the PATCH table of device.md, and no type that crashes AxeOS 2.4."""
    found = difference(values, {**info, **edits} if edits else {}, info)
    dialect = dialect_of(info)
    bad = slot_problems(found.changes, info, dialect)
    body = body_of([change for change in found.changes if change.key not in bad], info, dialect)
    flat = {key: value for key, value in body.items() if key != "pools"}
    allowed = {*SETTINGS, *ALIASES} - (set(POOL_NAMES) if "pools" in info else set())
    assert flat.keys() <= allowed
    assert all(isinstance(value, (int, float, str)) for value in flat.values())
    for key in ("stratumURL", "stratumUser", "stratumPassword", "hostname", "display"):
        assert isinstance(flat.get(key, ""), str)
        assert "<" not in flat.get(key, "")
    assert "*****" not in flat.values()
    assert len(json.dumps(body)) < 20_000


POOL_NAMES = [key for key in SETTINGS if "tratum" in key and key != "useFallbackStratum"]
