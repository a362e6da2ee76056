"""The values that a firmware accepts for a setting, where they differ from the row of the setting: a table per dialect.

Sources: handler_system.cpp and stratum_manager.cpp of NerdOS, whose ArduinoJson silently ignores a value of another
JSON type; its page for the temperatures.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from app.miners import setting_parsers as parsers
from app.miners.dialects import AXEOS_2_7, AXEOS_2_10, AXEOS_2_15, AXEOS_BEFORE_2_7, NERDOS, Dialect
from app.miners.setting_parsers import Value, ValueParser
from app.miners.setting_table import Setting

_AXEOS: Mapping[str, ValueParser] = {"autofanspeed": parsers.parse_axeos_fan_mode}
# AxeOS 2.8 and 2.9 are detected as AXEOS_2_7.
_AXEOS_BEFORE_2_10: Mapping[str, ValueParser] = {**_AXEOS, "frequency": parsers.parse_whole_frequency}
_NERDOS: Mapping[str, ValueParser] = {
    "frequency": parsers.parse_whole_frequency,
    "autofanspeed": parsers.parse_nerdos_fan_mode,
    "temptarget": parsers.WholeNumberParser(30, 80),
    "stratumSuggestedDifficulty": parsers.WholeNumberParser(0, 2**32 - 1),
    "stratumTLS": parsers.parse_switch,
    "fallbackStratumTLS": parsers.parse_switch,
    "stratumProtocol": parsers.parse_protocol_number,
    "fallbackStratumProtocol": parsers.parse_protocol_number,
    "stratumV2ChannelType": parsers.WholeNumberParser(0, 1),
    "fallbackStratumV2ChannelType": parsers.WholeNumberParser(0, 1),
}
_PARSERS: Mapping[Dialect, Mapping[str, ValueParser]] = {
    AXEOS_BEFORE_2_7: _AXEOS_BEFORE_2_10,
    AXEOS_2_7: _AXEOS_BEFORE_2_10,
    AXEOS_2_10: _AXEOS,
    AXEOS_2_15: _AXEOS,
    NERDOS: _NERDOS,
}


def normalise_value(setting: Setting, value: Any, dialect: Dialect) -> Value:
    """Return the value in the form that this firmware accepts. Raises ValueError with the accepted values."""
    return find_parser(setting, dialect)(value)


def find_parser(setting: Setting, dialect: Dialect) -> ValueParser:
    """Return the parser of a setting's values on this firmware."""
    return _PARSERS[dialect].get(setting.key, setting.parse_value)


def normalise_for_any_firmware(setting: Setting, value: Any) -> Value:
    """Return the value in the form of the setting's row, else in the form of any firmware that accepts it.

    For settings that are meant for many miners. Raises ValueError with the values that the row accepts.
    """
    try:
        return setting.parse_value(value)
    except ValueError:
        for table in _PARSERS.values():
            if setting.key in table:
                with suppress(ValueError):
                    return table[setting.key](value)
        raise
