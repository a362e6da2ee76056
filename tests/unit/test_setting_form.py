"""The settings form: its limits are those of a write."""

import pytest
from firmware_infos import NERD, NEW, OLD, SLOTS

from app.miners.setting_form import InputType, build_settings_form
from app.miners.setting_labels import SettingGroup, get_setting_label
from app.miners.setting_table import SETTINGS
from app.miners.settings_diff import compute_settings_diff
from app.miners.vendor_options import NO_OPTIONS, look_up_options

FANS = {**NERD, "fans": [{"mode": 0, "manualSpeed": 40, "pid": {"p": 2.5}}, {"mode": 2}]}
MINERS = {"2.4": OLD, "2.12": NEW, "2.15": SLOTS, "nerd": NERD, "nerd with fans": FANS}


def form_of(info, options=None):
    return {field.key: field for field in build_settings_form(info, options or look_up_options(info))}


@pytest.mark.parametrize("info", MINERS.values(), ids=MINERS)
class TestEveryFirmware:
    def test_every_field_can_be_written(self, info):
        for field in form_of(info).values():
            values = field.domain.options or {
                InputType.BOOLEAN: (True, False),
                InputType.TEXT: (),
                InputType.SECRET: ("x",),
            }.get(field.domain.type, (field.domain.min, field.domain.max))
            for value in values:
                found = compute_settings_diff({field.key: value, "autofanspeed": 0}, {}, info)
                assert not found.problems, (field, value)
                assert field.key not in found.unsent, (field, value)

    def test_value_beyond_a_limit_is_refused_by_a_write(self, info):
        limited = [field for field in form_of(info).values() if field.domain.max is not None]
        assert limited
        for field in limited:
            for value in (field.domain.min - 1, field.domain.max + 1):
                assert field.key in compute_settings_diff({field.key: value}, {}, info).problems

    def test_present_value_sent_back_is_no_change(self, info):
        values = {key: field.value for key, field in form_of(info).items() if field.value is not None}
        assert len(values) > 5
        assert not compute_settings_diff(values, {}, info).changes

    def test_secret_has_no_value(self, info):
        secrets = [field for field in form_of({**info, "stratumPassword": "x"}).values() if SETTINGS[field.key].secret]
        assert {field.value for field in secrets} == {None}
        assert {field.domain.type for field in secrets} == {InputType.SECRET}


def test_every_setting_has_texts():
    labels = [get_setting_label(setting) for setting in SETTINGS.values()]
    assert all(label.label for label in labels)
    assert {label.group for label in labels} == set(SettingGroup)


def test_fields_of_a_fan_and_of_fan_modes_follow_the_firmware():
    assert form_of(NEW)["autofanspeed"].domain.type is InputType.BOOLEAN
    assert form_of(NEW)["autofanspeed"].value is True
    fans = form_of(FANS)
    assert fans["autofanspeed"].domain.options == (0, 1, 2)
    assert (fans["fans[0].pid.p"].value, fans["fans[0].pid.p"].label.label) == (2.5, "Fan 1: PID, proportional")
    assert {"fans[0].mode", "fans[0].manualSpeed", "fans[1].mode"} <= fans.keys()
    assert "fans[1].manualSpeed" not in fans


def test_frequency_offers_the_options_and_the_present_value():
    field = form_of(NEW)["frequency"]
    assert (field.domain.type, field.value) == (InputType.CHOICE, 606.25)
    assert field.domain.options == (400, 425, 450, 475, 485, 500, 525, 550, 575, 606.25)
    assert not field.needs_restart
    assert form_of(NEW)["stratumURL"].needs_restart
    assert not form_of(NERD)["stratumURL"].needs_restart


def test_settings_that_cannot_be_changed_are_left_out():
    assert not {"frequency", "coreVoltage"} & form_of(NEW, NO_OPTIONS).keys()
    assert "overheat_mode" not in form_of(NEW)
    assert form_of({**NEW, "overheat_mode": 1})["overheat_mode"].domain.options == (0,)
    assert "minFanSpeed" not in form_of(OLD)
    assert not [key for key in form_of(SLOTS) if key.startswith("pools[")]
    assert "ssid" not in form_of(NEW)
    assert form_of({}) == {}


def test_fan_speed_of_old_firmware_in_automatic_mode_has_no_value():
    assert form_of(OLD)["manualFanSpeed"].value is None
    assert form_of({**OLD, "autofanspeed": 0})["manualFanSpeed"].value == 57
