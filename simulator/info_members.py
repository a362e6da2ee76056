"""The members of /info of each generation with their getters: `info_getters.py` and the differences per firmware."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import cjson, info_readings
from .generations import GENERATIONS, Generation
from .info_getters import FIXED, LIVE, POOL_KEYS, encode_nerd_number, make_flat_pool_getter, make_stored_getter
from .info_readings import Getter

Rule = Callable[[Generation], bool]


@dataclass(frozen=True, slots=True)
class Member:
    """One member of /info. `live` members are read at every request; `prefix` is the printed name."""

    name: str
    prefix: str
    getter: Getter
    live: bool
    round_float: Callable[[float], float]


def _match_before(*number: int) -> Rule:
    return lambda generation: not generation.nerd and generation.number < number


def _match_since(*number: int) -> Rule:
    return lambda generation: generation.is_at_least(*number)


def _match_nerd(generation: Generation) -> bool:
    return generation.nerd


# (rule that selects firmware, getters that differ); later rows replace earlier ones.
VARIANTS: tuple[tuple[Rule, dict[str, Getter]], ...] = (
    (
        _match_before(2, 11),
        {
            "hashRate": info_readings.read_estimated_rate,
            "fanspeed": lambda state: int(info_readings.read_fan_percent(state)),
        },
    ),
    (_match_before(2, 11), {"temp2": lambda state: max(0.0, info_readings.read_second_temperature(state))}),
    # Up to 2.1.8 `fanspeed` is the setting and `fanSpeed` the tachometer; the names differ in case only.
    (_match_before(2, 2), {"fanspeed": make_stored_getter("manualFanSpeed")}),
    (_match_before(2, 6), {"freeHeap": lambda state: 171_000 + int(3000 * state.read_noise(16))}),
    (
        _match_before(2, 14),
        {
            "hashrateMonitor": info_readings.read_hashrate_monitor_2_12,
            "stratumExtranonceSubscribe": make_stored_getter("stratumExtranonceSubscribe", int),
            "fallbackStratumExtranonceSubscribe": make_stored_getter("fallbackStratumExtranonceSubscribe", int),
        },
    ),
    (_match_since(2, 14), {"coreVoltageActual": info_readings.read_core_voltage}),
    (_match_since(2, 15), {key: make_flat_pool_getter(key) for key in POOL_KEYS}),
    (
        _match_nerd,
        {
            # v1.0.3x reports the ten-minute average under every name except that of the last minute.
            **dict.fromkeys(("hashRate", "hashRate_1h", "hashRate_1d"), LIVE["hashRate_10m"]),
            "fanspeed": lambda state: int(info_readings.read_fan_percent(state)),
            "vrTemp": lambda state: state.machine.temperature + 6,
            "isUsingFallbackStratum": lambda state: bool(state.settings.active["useFallbackStratum"]),
            "wifiStatus": lambda state: "WiFi Connected!",
            "stratumTLS": make_stored_getter("stratumTLS", bool),
            "fallbackStratumTLS": make_stored_getter("fallbackStratumTLS", bool),
            "stratumProtocol": make_stored_getter("stratumProtocol", encode_nerd_number),
            "fallbackStratumProtocol": make_stored_getter("fallbackStratumProtocol", encode_nerd_number),
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
    is_double = getter is info_readings.read_estimated_rate
    round_float = cjson.keep_all_digits if is_double else generation.round_float
    return Member(name, f',"{name}":', getter, name in LIVE, round_float)


MEMBERS: dict[str, tuple[Member, ...]] = {name: select_members(row) for name, row in GENERATIONS.items()}
