"""The texts of the settings form: group, label, unit and hint of every setting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from app.miners.setting_parsers import Value
from app.miners.setting_table import POOL_KEYS, Setting, build_fallback_key


class SettingGroup(StrEnum):
    """The sections of the settings form."""

    POOL = "pool"
    FALLBACK_POOL = "fallbackPool"
    PERFORMANCE = "performance"
    COOLING = "cooling"
    DISPLAY = "display"
    NETWORK = "network"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class SettingLabel:
    """`value_labels`: a label for each value that does not explain itself."""

    group: SettingGroup
    label: str
    unit: str | None = None
    hint: str | None = None
    value_labels: Mapping[Value, str] = field(default_factory=dict)


_PROTOCOLS: Mapping[Value, str] = {0: "Stratum V1", 1: "Stratum V2", "SV1": "Stratum V1", "SV2": "Stratum V2"}
_FAN_MODES: Mapping[Value, str] = {0: "Manual", 1: "Fan curve", 2: "Target temperature"}
# The labels of a pool's settings, for the primary and the fallback pool.
_POOL_LABELS: Mapping[str, SettingLabel] = {
    "stratumURL": SettingLabel(SettingGroup.POOL, "Host", hint="Without scheme, path and port"),
    "stratumPort": SettingLabel(SettingGroup.POOL, "Port"),
    "stratumUser": SettingLabel(SettingGroup.POOL, "User", hint="Usually an address or account, a dot and a worker"),
    "stratumPassword": SettingLabel(SettingGroup.POOL, "Password", hint="Leave empty to keep the present one"),
    "stratumSuggestedDifficulty": SettingLabel(SettingGroup.POOL, "Suggested difficulty", hint="0: none"),
    "stratumExtranonceSubscribe": SettingLabel(SettingGroup.POOL, "Subscribe to extranonce"),
    "stratumTLS": SettingLabel(SettingGroup.POOL, "TLS", hint="0: off, 1: system certificates, 2: own certificate"),
    "stratumCert": SettingLabel(SettingGroup.POOL, "Certificate", hint="PEM, for TLS with an own certificate"),
    "stratumDecodeCoinbase": SettingLabel(SettingGroup.POOL, "Decode the coinbase transaction"),
    "stratumProtocol": SettingLabel(SettingGroup.POOL, "Protocol", value_labels=_PROTOCOLS),
    "stratumV2ChannelType": SettingLabel(SettingGroup.POOL, "Stratum V2 channel type"),
    "stratumV2AuthorityPubkey": SettingLabel(SettingGroup.POOL, "Stratum V2 authority key"),
}


def _move_to_fallback(label: SettingLabel) -> SettingLabel:
    return SettingLabel(SettingGroup.FALLBACK_POOL, label.label, label.unit, label.hint, label.value_labels)


_LABELS: Mapping[str, SettingLabel] = {
    **{key: _POOL_LABELS[key] for key in POOL_KEYS},
    **{build_fallback_key(key): _move_to_fallback(_POOL_LABELS[key]) for key in POOL_KEYS},
    "poolMode": SettingLabel(SettingGroup.POOL, "Pool mode", value_labels={0: "Failover", 1: "Dual"}),
    "primaryPoolIndex": SettingLabel(SettingGroup.POOL, "Slot of the pool"),
    "useFallbackStratum": SettingLabel(SettingGroup.FALLBACK_POOL, "Mine on the fallback pool"),
    "secondaryPoolIndex": SettingLabel(SettingGroup.FALLBACK_POOL, "Slot of the fallback pool"),
    "frequency": SettingLabel(SettingGroup.PERFORMANCE, "Frequency", "MHz"),
    "coreVoltage": SettingLabel(SettingGroup.PERFORMANCE, "Core voltage", "mV"),
    "overclockEnabled": SettingLabel(
        SettingGroup.PERFORMANCE, "Overclocking unlocked", hint="Allows values beyond the vendor's options"
    ),
    "jobInterval": SettingLabel(SettingGroup.PERFORMANCE, "Job interval", "ms"),
    "overheat_mode": SettingLabel(
        SettingGroup.COOLING, "Overheat mode", hint="The miner overheated: 0 ends it", value_labels={0: "Off"}
    ),
    "autofanspeed": SettingLabel(SettingGroup.COOLING, "Automatic fan control", value_labels=_FAN_MODES),
    "manualFanSpeed": SettingLabel(SettingGroup.COOLING, "Fan speed", "%", "Used while the fan control is manual"),
    "minFanSpeed": SettingLabel(
        SettingGroup.COOLING, "Minimum fan speed", "%", "Used while the fan control is automatic"
    ),
    "temptarget": SettingLabel(
        SettingGroup.COOLING, "Target temperature", "°C", "Used while the fan control is automatic"
    ),
    "overheat_temp": SettingLabel(SettingGroup.COOLING, "Overheat temperature", "°C", "The miner stops above it"),
    "invertfanpolarity": SettingLabel(SettingGroup.COOLING, "Invert the fan's polarity"),
    "display": SettingLabel(SettingGroup.DISPLAY, "Display type"),
    "rotation": SettingLabel(SettingGroup.DISPLAY, "Rotation", "°"),
    "invertscreen": SettingLabel(SettingGroup.DISPLAY, "Invert the colours"),
    "flipscreen": SettingLabel(SettingGroup.DISPLAY, "Turn upside down"),
    "displayTimeout": SettingLabel(SettingGroup.DISPLAY, "Display timeout", "min", "-1: always on, 0: always off"),
    "autoscreenoff": SettingLabel(SettingGroup.DISPLAY, "Switch the display off when idle"),
    "hostname": SettingLabel(SettingGroup.NETWORK, "Host name"),
    "statsFrequency": SettingLabel(
        SettingGroup.OTHER, "Statistics interval", "s", "For the chart on the miner's own page; 0: off"
    ),
}
_FAN_LABELS: Mapping[str, SettingLabel] = {
    "mode": SettingLabel(SettingGroup.COOLING, "mode", value_labels=_FAN_MODES),
    "manualSpeed": SettingLabel(SettingGroup.COOLING, "speed", "%", "Used in manual mode"),
    "overheatTemp": SettingLabel(SettingGroup.COOLING, "overheat temperature", "°C"),
    "pid.targetTemp": SettingLabel(SettingGroup.COOLING, "target temperature", "°C"),
    "pid.p": SettingLabel(SettingGroup.COOLING, "PID, proportional"),
    "pid.i": SettingLabel(SettingGroup.COOLING, "PID, integral"),
    "pid.d": SettingLabel(SettingGroup.COOLING, "PID, derivative"),
}


def get_setting_label(setting: Setting) -> SettingLabel:
    """Return the texts of a setting. A fan's label starts with its number, from 1; that of a pool in a slot with the
    slot."""
    place = setting.list_item
    if place is None:
        return _LABELS[setting.key]
    is_fan = place.list_name == "fans"
    label = _FAN_LABELS[setting.fields[0]] if is_fan else _POOL_LABELS[setting.fields[0]]
    owner = f"Fan {place.item_number + 1}" if is_fan else f"Pool in slot {place.item_number}"
    return SettingLabel(label.group, f"{owner}: {label.label}", label.unit, label.hint, label.value_labels)
