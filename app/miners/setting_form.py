"""The settings form of one miner: the settings that this service may write to it, with their limits. Pure.

The limits are those of the parsers that check a write, and of the miner's own options.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.miners import setting_parsers as parsers
from app.miners.dialect_parsers import find_parser
from app.miners.dialects import Dialect, detect_dialect
from app.miners.patch_bodies import is_live_change
from app.miners.setting_labels import SettingLabel, get_setting_label
from app.miners.setting_parsers import Value, ValueParser
from app.miners.setting_table import SETTINGS, Info, Setting, SettingChange, read_present_value
from app.miners.settings_diff import find_unsent_reason
from app.miners.values import parse_flag, parse_number
from app.miners.vendor_options import Options, add_present_values


class InputType(StrEnum):
    """The kind of value that a form field takes. `secret`: text that is never shown."""

    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TEXT = "text"
    CHOICE = "choice"
    SECRET = "secret"


@dataclass(frozen=True, slots=True)
class ValueDomain:
    """The values that a setting may have. `options`: the only values of a choice."""

    type: InputType
    options: tuple[Value, ...] = ()
    min: float | None = None
    max: float | None = None
    step: float | None = None


@dataclass(frozen=True, slots=True)
class FormField:
    """One setting. `value`: the present one; None if it is secret or the miner does not report it."""

    key: str
    label: SettingLabel
    domain: ValueDomain
    value: Value | None
    needs_restart: bool


_TEXT, _BOOLEAN = ValueDomain(InputType.TEXT), ValueDomain(InputType.BOOLEAN)
# The parsers without limits. Any other function accepts text.
_DOMAINS: Mapping[ValueParser, ValueDomain] = {
    parsers.parse_switch: _BOOLEAN,
    parsers.parse_axeos_fan_mode: _BOOLEAN,
    parsers.parse_nerdos_fan_mode: ValueDomain(InputType.CHOICE, (0, 1, 2)),
    parsers.parse_protocol_number: ValueDomain(InputType.CHOICE, (0, 1)),
}
# The firmware stores hundredths.
_DECIMAL_STEP = 0.01


def build_settings_form(info: Info, options: Options) -> list[FormField]:
    """Return the fields of the form, in the order of the setting table; none for a miner that was never read.

    Pools in slots that are not in use are left out. So are a frequency and a core voltage without options, of which no
    value is allowed, and the overheat mode, which can only be ended, while the miner is not in it.
    """
    dialect = detect_dialect(info)
    vendor = _list_vendor_options(info, options)
    return [
        _build_field(setting, info, dialect, vendor)
        for setting in SETTINGS.values()
        if _is_writable(setting, info, dialect) and vendor.get(setting.key) != ()
    ]


def _list_vendor_options(info: Info, options: Options) -> dict[str, tuple[float, ...]]:
    shown = add_present_values(options, info)
    return {
        "frequency": shown.frequencies if options.frequencies else (),
        "coreVoltage": shown.voltages if options.voltages else (),
    }


def _is_writable(setting: Setting, info: Info, dialect: Dialect) -> bool:
    if setting.key == "overheat_mode" and parse_flag(info.get("overheat_mode")) != 1.0:
        return False
    if setting.list_item and setting.list_item.list_name == "pools":
        return False
    return bool(info) and find_unsent_reason(setting, info, dialect, fan_is_manual=True) is None


def _build_field(setting: Setting, info: Info, dialect: Dialect, vendor: Mapping[str, tuple[float, ...]]) -> FormField:
    domain = describe_domain(setting, dialect)
    if setting.key in vendor:
        domain = ValueDomain(InputType.CHOICE, vendor[setting.key])
    return FormField(
        setting.key,
        get_setting_label(setting),
        domain,
        None if setting.secret else _convert_value(read_present_value(setting, info), domain.type),
        needs_restart=not is_live_change(SettingChange(setting, 0, None), dialect),
    )


def describe_domain(setting: Setting, dialect: Dialect) -> ValueDomain:
    """Return the values that this firmware accepts for a setting."""
    if setting.secret:
        return ValueDomain(InputType.SECRET)
    parser = find_parser(setting, dialect)
    match parser:
        case parsers.WholeNumberParser(low, high):
            return ValueDomain(InputType.INTEGER, min=low, max=high, step=1)
        case parsers.DecimalParser(low, high):
            return ValueDomain(InputType.NUMBER, min=low, max=high, step=_DECIMAL_STEP)
        case parsers.ChoiceParser(values):
            return ValueDomain(InputType.CHOICE, values)
    return _DOMAINS.get(parser, _TEXT)


def _convert_value(value: Any, kind: InputType) -> Value | None:
    """Return a reported value in the form's type: firmware reports switches as 0 and 1, and some forks quote
    numbers."""
    if kind is InputType.BOOLEAN:
        flag = parse_flag(value)
        return None if flag is None else bool(flag)
    number = None if kind is InputType.TEXT else parse_number(value)
    if number is not None:
        return int(number) if number.is_integer() else number
    return value if isinstance(value, str | int | float) else None
