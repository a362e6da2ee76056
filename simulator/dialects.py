"""The members of each generation with their getters: `fields.py` plus what this firmware does differently."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import cjson, readings
from .fields import FIXED, LIVE, POOL_KEYS, legacy_pool_key, number_of, stored
from .generations import GENERATIONS, Generation
from .readings import Getter

Rule = Callable[[Generation], bool]


@dataclass(frozen=True, slots=True)
class Member:
    """One member: `live` ones are read at every request; floats go through `real`."""

    name: str
    getter: Getter
    live: bool
    real: Callable[[float], float]


def _before(*number: int) -> Rule:
    return lambda generation: not generation.nerd and generation.number < number


def _since(*number: int) -> Rule:
    return lambda generation: generation.since(*number)


def _nerd(generation: Generation) -> bool:
    return generation.nerd


# (which firmware, what it does differently); later rows win.
VARIANTS: tuple[tuple[Rule, dict[str, Getter]], ...] = (
    (
        _before(2, 11),
        {"hashRate": readings.read_estimated_rate, "fanspeed": lambda state: int(readings.read_fan_percent(state))},
    ),
    (_before(2, 11), {"temp2": lambda state: max(0.0, readings.read_second_temperature(state))}),
    # Up to 2.1.8 `fanspeed` is the setting and `fanSpeed` the tachometer: case matters.
    (_before(2, 2), {"fanspeed": stored("manualFanSpeed")}),
    (_before(2, 6), {"freeHeap": lambda state: 171_000 + int(3000 * state.machine.noise(state.now, 16))}),
    (
        _before(2, 14),
        {
            "hashrateMonitor": readings.read_hashrate_monitor_2_12,
            "stratumExtranonceSubscribe": stored("stratumExtranonceSubscribe", int),
            "fallbackStratumExtranonceSubscribe": stored("fallbackStratumExtranonceSubscribe", int),
        },
    ),
    (_since(2, 14), {"coreVoltageActual": readings.read_core_voltage}),
    (_since(2, 15), {key: legacy_pool_key(key) for key in POOL_KEYS}),
    (
        _nerd,
        {
            # v1.0.3x reports the ten-minute average under every name but that of the last minute.
            **dict.fromkeys(("hashRate", "hashRate_1h", "hashRate_1d"), LIVE["hashRate_10m"]),
            "fanspeed": lambda state: int(readings.read_fan_percent(state)),
            "vrTemp": lambda state: state.machine.temperature + 6,
            "isUsingFallbackStratum": lambda state: bool(state.settings.active["useFallbackStratum"]),
            "wifiStatus": lambda state: "WiFi Connected!",
            "stratumTLS": stored("stratumTLS", bool),
            "fallbackStratumTLS": stored("fallbackStratumTLS", bool),
            "stratumProtocol": stored("stratumProtocol", number_of),
            "fallbackStratumProtocol": stored("fallbackStratumProtocol", number_of),
        },
    ),
)


def members_of(generation: Generation) -> tuple[Member, ...]:
    """Every member of this generation's /info, in its order."""
    special: dict[str, Getter] = {}
    for applies, getters in VARIANTS:
        if applies(generation):
            special.update(getters)
    return tuple(_member(generation, name, special) for name in generation.fields)


def _member(generation: Generation, name: str, special: dict[str, Getter]) -> Member:
    getter = special.get(name) or LIVE.get(name) or FIXED[name]
    # The rate that old firmware estimates is a C double, everything else it measures is a float.
    real = cjson.exact if getter is readings.read_estimated_rate else generation.real
    return Member(name, getter, name in LIVE, real)


MEMBERS: dict[str, tuple[Member, ...]] = {name: members_of(row) for name, row in GENERATIONS.items()}
