"""The members of /info of each generation with their getters: `info_getters.py` and the differences per firmware."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import cjson, readings
from .generations import GENERATIONS, Generation
from .info_getters import FIXED, LIVE, POOL_KEYS, legacy_pool_key, number_of, stored
from .readings import Getter

Rule = Callable[[Generation], bool]


@dataclass(frozen=True, slots=True)
class Member:
    """One member of /info. `live` members are read at every request; `prefix` is the printed name."""

    name: str
    prefix: str
    getter: Getter
    live: bool
    round_float: Callable[[float], float]


def _before(*number: int) -> Rule:
    return lambda generation: not generation.nerd and generation.number < number


def _since(*number: int) -> Rule:
    return lambda generation: generation.is_at_least(*number)


def _nerd(generation: Generation) -> bool:
    return generation.nerd


# (rule that selects firmware, getters that differ); later rows replace earlier ones.
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


def select_members(generation: Generation) -> tuple[Member, ...]:
    """Return the members of /info of one generation."""
    special: dict[str, Getter] = {}
    for applies, getters in VARIANTS:
        if applies(generation):
            special.update(getters)
    names = [name for name in dict.fromkeys((*FIXED, *LIVE)) if name in generation.fields]
    return tuple(_make_member(generation, name, special) for name in names)


def _make_member(generation: Generation, name: str, special: dict[str, Getter]) -> Member:
    getter = special.get(name) or LIVE.get(name) or FIXED[name]
    # The estimated rate of old firmware is a C double; all other readings are C floats.
    is_double = getter is readings.read_estimated_rate
    round_float = cjson.keep_all_digits if is_double else generation.round_float
    return Member(name, f',"{name}":', getter, name in LIVE, round_float)


MEMBERS: dict[str, tuple[Member, ...]] = {name: select_members(row) for name, row in GENERATIONS.items()}
