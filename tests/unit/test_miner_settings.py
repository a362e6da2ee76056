"""The allow-list, the limits and the firmware dialects of writes, without a miner."""

import json
from typing import Any

import pytest
from firmware_infos import NERD, NEW, OLD, POOL, SLOT, SLOTS
from hypothesis import given
from hypothesis import strategies as st

from app.miners.dialects import detect_dialect
from app.miners.patch_bodies import build_patch_body, find_slot_problems, is_live_change
from app.miners.setting_limits import compute_hard_limits, find_limit_problems
from app.miners.setting_table import ALIASES, SETTINGS, SettingChange, has_value, is_same_value, read_present_value
from app.miners.settings_diff import compute_settings_diff
from app.miners.vendor_options import Options, add_present_values, look_up_options, parse_options


def make_patch_body(info: dict[str, Any], **values: Any) -> dict[str, Any]:
    """Return the PATCH body for these values."""
    found = compute_settings_diff(values, {}, info)
    assert not found.problems
    return build_patch_body(found.changes, info, detect_dialect(info))


def make_body_from_complete_object(info: dict[str, Any], **edits: Any) -> dict[str, Any]:
    """Return the PATCH body if a client sends the complete info back with edits."""
    found = compute_settings_diff({}, {**info, **edits}, info)
    assert not found.problems
    return build_patch_body(found.changes, info, detect_dialect(info))


@pytest.mark.parametrize("info", [OLD, NEW, SLOTS, NERD], ids=["2.4", "2.12", "2.15", "nerd"])
class TestCompleteObjects:
    def test_unchanged_object_is_no_change(self, info):
        assert make_body_from_complete_object(info) == {}

    def test_changed_readings_are_no_change(self, info):
        assert (
            make_body_from_complete_object(
                info, fanspeed=99, power=1, temp=70.5, hashRate=1.5, uptimeSeconds=5, frequencyOptions=[{"label": "1"}]
            )
            == {}
        )

    def test_numbers_of_other_type_are_no_change(self, info):
        changed = {
            key: str(value) for key, value in info.items() if isinstance(value, (int, float)) and key != "fanspeed"
        }
        assert make_body_from_complete_object(info, **changed) == {}
        assert (
            make_body_from_complete_object(
                info, **{key: float(value) for key, value in info.items() if isinstance(value, int)}
            )
            == {}
        )

    def test_unknown_fields_and_nulls_are_ignored(self, info):
        assert (
            make_body_from_complete_object(
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

    def test_empty_placeholder_for_user_is_no_change(self, info):
        """A device that was not polled yet has `stratumUser: ""` in responses."""
        assert make_body_from_complete_object(info, stratumUser="") == {}

    def test_edit_is_a_change(self, info):
        assert make_body_from_complete_object(info, hostname="edited") == (
            {"hostname": "edited"} if "hostname" in info else {}
        )


def test_overheat_latch_is_reading_in_complete_object_and_command_alone():
    hot = {**OLD, "overheat_mode": 1}
    assert make_body_from_complete_object(hot, overheat_mode=0) == {}
    assert make_body_from_complete_object(OLD, overheat_mode=1) == {}
    assert make_patch_body(hot, overheat_mode=0) == {"overheat_mode": 0}
    assert compute_settings_diff({"overheat_mode": 1}, {}, OLD).problems.keys() == {"overheat_mode"}


def test_object_from_before_overheating_does_not_undo_fallback():
    hot = {**OLD, "overheat_mode": 1, "frequency": 50, "coreVoltage": 1000, "autofanspeed": 0, "fanspeed": 100}
    before = {**OLD, "hostname": "renamed"}
    found = compute_settings_diff({}, before, hot)
    assert found.problems.keys() == {"frequency", "coreVoltage", "autofanspeed"}
    # An object loaded afterwards expresses a decision of the user.
    assert make_body_from_complete_object(hot, frequency=485) == {"frequency": 485}


@pytest.mark.parametrize(
    ("info", "values", "body"),
    [
        (OLD, {"autofanspeed": 0, "fanspeed": 70}, {"autofanspeed": 0, "manualFanSpeed": 70, "fanspeed": 70}),
        ({**OLD, "autofanspeed": 0}, {"manualFanSpeed": 70}, {"manualFanSpeed": 70, "fanspeed": 70}),
        ({**OLD, "autofanspeed": 0}, {"manualFanSpeed": 58}, {}),
        (OLD, {"manualFanSpeed": 70}, {}),
        (NEW, {"manualFanSpeed": 70}, {"manualFanSpeed": 70, "fanspeed": 70}),
        (NEW, {"fanspeed": 70}, {"manualFanSpeed": 70, "fanspeed": 70}),
        # A form that is sent back has the reading beside the mode.
        (NEW, {"autofanspeed": 1, "fanspeed": 43.2}, {}),
        ({**NEW, "autofanspeed": 0, "manualFanSpeed": 58}, {"autofanspeed": 0, "fanspeed": 57.8}, {}),
        (NEW, {"autofanspeed": 0, "fanspeed": 70}, {"autofanspeed": 0, "manualFanSpeed": 70, "fanspeed": 70}),
        (NERD, {"autofanspeed": False, "manualFanSpeed": 70}, {"autofanspeed": 0, "manualFanSpeed": 70}),
        (
            {**OLD, "fanSpeed": 4000, "version": "v2.1.3"},
            {"manualFanSpeed": 58},
            {"manualFanSpeed": 58, "fanspeed": 58},
        ),
    ],
)
def test_fan_speed_has_two_names(info, values, body):
    if "fanSpeed" in info:
        info = {**info, "autofanspeed": 0}
    assert make_patch_body(info, **values) == body


@pytest.mark.parametrize(
    ("info", "value", "sent_value"),
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
def test_automatic_fan_is_1_on_axeos_and_2_on_nerdos(info, value, sent_value):
    assert make_patch_body(info, autofanspeed=value) == ({} if sent_value is None else {"autofanspeed": sent_value})


def test_flags_are_numbers_on_axeos_and_booleans_on_nerdos():
    assert make_patch_body({**OLD, "invertscreen": 0}, flipscreen=False, invertscreen=True) == {
        "flipscreen": 0,
        "invertscreen": 1,
    }
    body = make_patch_body({**NERD, "invertscreen": 0}, flipscreen=0, invertscreen=1)
    assert (body["flipscreen"], body["invertscreen"]) == (False, True)
    assert all(isinstance(value, bool) for value in body.values())


def test_nerdos_has_its_own_names():
    assert make_patch_body(NERD, temptarget=60, stratumSuggestedDifficulty=512) == {
        "pidTargetTemp": 60,
        "stratumDifficulty": 512,
    }
    assert make_patch_body(NERD, pidTargetTemp=60, stratumDifficulty=512) == {
        "pidTargetTemp": 60,
        "stratumDifficulty": 512,
    }
    assert make_patch_body(NERD, temptarget=55) == {}


@pytest.mark.parametrize(("info", "is_valid"), [(OLD, False), (NERD, False), (NEW, True), (SLOTS, True)])
def test_fractional_frequency_needs_firmware_that_accepts_it(info, is_valid):
    found = compute_settings_diff({"frequency": 533.5}, {}, info)
    assert (not found.problems) is is_valid


def test_setting_that_firmware_does_not_report_is_refused():
    found = compute_settings_diff({"minFanSpeed": 30, "rotation": 90, "hostname": "x"}, {}, OLD)
    assert [change.key for change in found.changes] == ["hostname"]
    assert {key: status for key, (status, _, _) in found.unsent.items()} == {
        "minFanSpeed": "refused",
        "rotation": "refused",
    }
    # Except passwords, and a setting that AxeOS 2.11 to 2.14 accepts without reporting it.
    assert make_patch_body(NEW, stratumPassword="pw", useFallbackStratum=True) == {
        "stratumPassword": "pw",
        "useFallbackStratum": 1,
    }
    assert not compute_settings_diff(
        {"fallbackStratumPassword": "pw"}, {}, POOL | {"ASICModel": "BM1366", "version": "v2.1.3"}
    ).changes


def test_wifi_settings_are_refused_with_reason():
    found = compute_settings_diff({"ssid": "other", "wifiPass": "hunter2"}, {}, NEW)
    assert not found.changes
    assert {key: (status, value) for key, (status, value, _) in found.unsent.items()} == {
        "ssid": ("refused", "other"),
        "wifiPass": ("refused", None),
    }
    assert not compute_settings_diff({}, {**NEW, "wifiPass": "*****"}, NEW).unsent


@pytest.mark.parametrize("mask", ["*****", "", None])
def test_masked_password_is_no_change(mask):
    assert make_patch_body(NEW, stratumPassword=mask, fallbackStratumPassword=mask) == {}
    assert make_body_from_complete_object(SLOTS, stratumPassword=mask) == {}


class TestSlots:
    """AxeOS ≥ 2.15 takes complete pool objects; the other members keep the slot's values."""

    def test_unchanged_members_are_sent_and_mask_keeps_password(self):
        assert make_patch_body(SLOTS, stratumURL="new.example") == {
            "pools": [{**SLOT, "stratumURL": "new.example", "stratumPassword": "*****"}]
        }
        assert make_patch_body(SLOTS, stratumPassword="pw") == {"pools": [{**SLOT, "stratumPassword": "pw"}]}

    def test_null_members_are_not_sent(self):
        info = {**SLOTS, "pools": [{**SLOT, "stratumCert": None}]}
        assert "stratumCert" not in make_patch_body(info, stratumPort=1)["pools"][0]

    def test_slots_are_found_by_id(self):
        other = {**SLOT, "id": 3, "stratumURL": "three.example"}
        info = {**SLOTS, "pools": [other, SLOT], "primaryPoolIndex": 3, "stratumURL": "three.example"}
        assert make_patch_body(info, stratumPort=1)["pools"] == [
            {**other, "stratumPort": 1, "stratumPassword": "*****"}
        ]

    def test_new_slot_must_be_complete(self):
        half = compute_settings_diff({"fallbackStratumURL": "fb.example"}, {}, SLOTS)
        assert find_slot_problems(half.changes, SLOTS, detect_dialect(SLOTS)).keys() == {
            "fallbackStratumPort",
            "fallbackStratumUser",
        }
        whole = {"fallbackStratumURL": "fb.example", "fallbackStratumPort": 1, "fallbackStratumUser": "u"}
        assert make_patch_body(SLOTS, **whole) == {
            "pools": [{"id": 1, "stratumURL": "fb.example", "stratumPort": 1, "stratumUser": "u"}]
        }

    def test_empty_fallback_without_slot_is_no_change(self):
        assert make_patch_body(SLOTS, fallbackStratumURL="", fallbackStratumUser="") == {}
        assert make_patch_body(OLD, fallbackStratumURL="", fallbackStratumUser="") == {}

    def test_fallback_in_slot_cannot_be_removed(self):
        info = {**SLOTS, "pools": [SLOT, {**SLOT, "id": 1}], "fallbackStratumURL": "old.example"}
        found = compute_settings_diff({"fallbackStratumURL": ""}, {}, info)
        assert find_slot_problems(found.changes, info, detect_dialect(info)).keys() == {"fallbackStratumURL"}
        flat = {**OLD, "fallbackStratumURL": "old.example"}
        assert make_patch_body(flat, fallbackStratumURL="") == {"fallbackStratumURL": ""}

    def test_selected_slot_must_contain_pool_and_be_selected_alone(self):
        info = {**SLOTS, "pools": [SLOT, {**SLOT, "id": 2}]}
        for values, is_valid in (
            ({"primaryPoolIndex": 2}, True),
            ({"primaryPoolIndex": 5}, False),
            ({"primaryPoolIndex": 2, "stratumURL": "new.example"}, False),
        ):
            found = compute_settings_diff(values, {}, info)
            assert (not find_slot_problems(found.changes, info, detect_dialect(info))) is is_valid, values


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
def test_setting_acts_live_or_needs_restart(info, key, live):
    assert is_live_change(SettingChange(SETTINGS[key], 0, None), detect_dialect(info)) is live


OPTIONS = Options((400, 490, 525), (1000, 1150))


@pytest.mark.parametrize(
    ("value", "unlocked", "allow", "is_valid"),
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
def test_frequency_is_an_option_or_within_limits_of_unlocked_miner(value, unlocked, allow, is_valid):
    change = SettingChange(SETTINGS["frequency"], value, 400)
    assert (
        not find_limit_problems([change], {"overclockEnabled": unlocked}, OPTIONS, allow_overclock=allow)
    ) is is_valid


@pytest.mark.parametrize(("value", "is_valid"), [(849, False), (850, True), (1300, True), (1301, False)])
def test_overclock_voltage_limit_is_150_mv_beyond_options(value, is_valid):
    change = SettingChange(SETTINGS["coreVoltage"], value, 1000)
    assert (not find_limit_problems([change], {"overclockEnabled": True}, OPTIONS, allow_overclock=True)) is is_valid


def test_absolute_limits_of_nerdos_are_applied():
    asic = {"frequencyOptions": [400, 500], "voltageOptions": [1000, 1100], "absMaxFrequency": 600, "absMaxVoltage": 0}
    options = parse_options(asic)
    assert compute_hard_limits(options) == {"frequency": (200, 600), "coreVoltage": (850, 1250)}


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
def test_options_shown_include_present_value(present, shown):
    options = add_present_values(OPTIONS, {"frequency": present})
    assert (options.frequencies, options.voltages) == (shown, OPTIONS.voltages)
    assert add_present_values(Options((), ()), {"frequency": 500, "coreVoltage": 1200}) == Options((500,), (1200,))


def test_575_mhz_is_an_option_of_bm1370():
    assert 575 in look_up_options({"ASICModel": "BM1370", "boardVersion": "601"}).frequencies


def test_frequency_without_options_is_rejected():
    change = SettingChange(SETTINGS["frequency"], 500, 400)
    assert find_limit_problems([change], {"overclockEnabled": 1}, Options((), ()), allow_overclock=True).keys() == {
        "frequency"
    }


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
def test_invalid_value_is_rejected(key, value):
    with pytest.raises(ValueError, match="^Must|^\\*{5} is"):
        SETTINGS[key].parse_value(value)


def test_error_message_does_not_contain_password():
    with pytest.raises(ValueError) as caught:
        SETTINGS["stratumPassword"].parse_value("hunter2\n")
    assert "hunter2" not in str(caught.value)


def test_url_scheme_is_stripped():
    assert make_patch_body(NEW, stratumURL="stratum+tcp://new.example") == {"stratumURL": "new.example"}
    assert make_patch_body(NEW, stratumURL="stratum+tcp://old.example") == {}


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
def test_values_are_compared_independent_of_type(left, right, equal):
    assert is_same_value(left, right) is equal


def test_manual_fan_speed_is_unknown_in_automatic_mode_of_old_firmware():
    setting = SETTINGS["manualFanSpeed"]
    assert read_present_value(setting, OLD) is None
    assert read_present_value(setting, {**OLD, "autofanspeed": 0}) == 57
    assert read_present_value(setting, NEW) == 60
    assert has_value(setting, 58, {**OLD, "autofanspeed": 0})
    assert not has_value(setting, 61, NEW)


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
def test_generated_values_send_only_known_settings_of_right_type(values, edits, info):
    """The expected names are those of the PATCH table in device.md, and no type may crash AxeOS 2.4."""
    found = compute_settings_diff(values, {**info, **edits} if edits else {}, info)
    dialect = detect_dialect(info)
    bad = find_slot_problems(found.changes, info, dialect)
    body = build_patch_body([change for change in found.changes if change.key not in bad], info, dialect)
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
