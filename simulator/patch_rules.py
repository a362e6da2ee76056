"""The keys of PATCH /api/system per firmware, with the readers of their values. Tables only."""

from __future__ import annotations

from dataclasses import dataclass

from . import patch_readers as readers
from .generations import GENERATIONS, Generation, PatchRules
from .patch_readers import U16, Reader
from .settings_store import name_fallback_key

NEVER = (99, 0)


@dataclass(frozen=True)
class Rule:
    """One key. `store`: its name in the stored settings; valid in AxeOS from `since` to before `until`."""

    key: str
    reader: Reader
    store: str = ""
    since: tuple[int, int] = (0, 0)
    until: tuple[int, int] = NEVER

    @property
    def target(self) -> str:
        """Name of the stored setting."""
        return self.store or self.key


def _make_lenient_rules(text: Reader, frequency: Reader) -> tuple[Rule, ...]:
    texts = ("stratumURL", "stratumUser", "stratumPassword", "ssid", "wifiPass")
    later = ("fallbackStratumURL", "fallbackStratumUser", "fallbackStratumPassword")
    return (
        *(Rule(key, text) for key in texts),
        *(Rule(key, text, since=(2, 3)) for key in later),
        Rule("hostname", text, since=(2, 1)),
        Rule("stratumPort", readers.read_u16),
        Rule("fallbackStratumPort", readers.read_u16, since=(2, 3)),
        Rule("frequency", frequency),
        Rule("coreVoltage", readers.read_positive),
        Rule("autofanspeed", readers.read_u16),
        Rule("fanspeed", readers.read_u16, store="manualFanSpeed"),
        Rule("flipscreen", readers.read_u16, until=(2, 9)),
        Rule("invertscreen", readers.read_u16),
        Rule("invertfanpolarity", readers.read_u16, until=(2, 7)),
        Rule("overheat_mode", readers.read_as_zero, since=(2, 2)),
        Rule("overclockEnabled", readers.read_u16, since=(2, 6)),
        Rule("temptarget", readers.read_u16, since=(2, 7)),
        Rule("displayTimeout", readers.read_signed, since=(2, 7)),
        Rule("display", text, since=(2, 8)),
        Rule("rotation", readers.read_u16, since=(2, 9)),
        Rule("statsFrequency", readers.read_u16, since=(2, 9)),
        Rule("stratumSuggestedDifficulty", readers.read_u16, since=(2, 9)),
        Rule("stratumExtranonceSubscribe", readers.read_u16, since=(2, 9)),
        Rule("fallbackStratumSuggestedDifficulty", readers.read_u16, since=(2, 9)),
        Rule("fallbackStratumExtranonceSubscribe", readers.read_u16, since=(2, 9)),
        Rule("minFanSpeed", readers.read_u16, since=(2, 10)),
    )


_POOL = {
    "stratumURL": readers.make_text_reader(0, 255),
    "stratumPort": readers.make_integer_reader(0, U16),
    "stratumUser": readers.make_text_reader(0, 255),
    "stratumPassword": readers.make_text_reader(0, 255),
    "stratumSuggestedDifficulty": readers.make_integer_reader(0, U16),
    "stratumExtranonceSubscribe": readers.read_flag,
}
_POOL_LATER = {
    "stratumTLS": readers.make_integer_reader(0, 3),
    "stratumCert": readers.make_text_reader(0, 3000),
    "stratumDecodeCoinbase": readers.read_flag,
    "stratumProtocol": readers.make_choice_reader("SV1", "SV2"),
    "stratumV2ChannelType": readers.make_text_reader(0, 32),
    "stratumV2AuthorityPubkey": readers.make_text_reader(0, 128),
}
# Since 2.15 the flat stratum keys are read-only: the firmware answers 200 and ignores them.
_FLAT_END = (2, 15)

_STRICT = (
    *(Rule(key, reader, until=_FLAT_END) for key, reader in _POOL.items()),
    *(Rule(name_fallback_key(key), reader, until=_FLAT_END) for key, reader in _POOL.items()),
    *(Rule(key, reader, since=(2, 13), until=_FLAT_END) for key, reader in _POOL_LATER.items()),
    *(Rule(name_fallback_key(key), reader, since=(2, 13), until=_FLAT_END) for key, reader in _POOL_LATER.items()),
    Rule("frequency", readers.make_real_reader(1, U16)),
    Rule("coreVoltage", readers.make_integer_reader(1, U16)),
    Rule("autofanspeed", readers.read_flag),
    Rule("manualFanSpeed", readers.make_integer_reader(0, 100)),
    Rule("minFanSpeed", readers.make_integer_reader(0, 99)),
    Rule("temptarget", readers.make_integer_reader(35, 66)),
    Rule("overheat_mode", readers.make_choice_reader(0)),
    Rule("overclockEnabled", readers.read_flag),
    Rule("statsFrequency", readers.make_integer_reader(0, U16)),
    Rule("displayTimeout", readers.make_integer_reader(-1, U16)),
    Rule("hostname", readers.make_text_reader(1, 32)),
    Rule("ssid", readers.make_text_reader(1, 32)),
    Rule("wifiPass", readers.make_text_reader(0, 63)),
    Rule("display", readers.make_text_reader(1, 64)),
    Rule("rotation", readers.make_choice_reader(0, 90, 180, 270)),
    Rule("invertscreen", readers.read_flag),
    Rule("displayOffset", readers.make_integer_reader(-128, 127)),
    Rule("useFallbackStratum", readers.read_flag),
    Rule("useCustomWWW", readers.read_flag, since=(2, 15)),
    Rule("primaryPoolIndex", readers.make_integer_reader(0, 7), since=(2, 15)),
    Rule("secondaryPoolIndex", readers.make_integer_reader(0, 7), since=(2, 15)),
)

_NERD_TEXTS = ("stratumURL", "stratumUser", "stratumPassword")
_NERD_FLAGS = ("flipscreen", "invertscreen", "invertfanpolarity", "autoscreenoff")
_NERD_U16 = ("stratumProtocol", "fallbackStratumProtocol", "poolMode", "overheat_temp", "jobInterval")
_NERD = (
    *(Rule(key, readers.read_nerd_int) for key in ("frequency", "coreVoltage", "manualFanSpeed", "autofanspeed")),
    *(Rule(key, readers.read_nerd_int) for key in ("stratumPort", "fallbackStratumPort")),
    *(Rule(key, readers.read_nerd_bool) for key in _NERD_FLAGS),
    *(Rule(key, readers.read_text_or_ignore) for key in ("hostname", "ssid", "wifiPass")),
    *(Rule(key, readers.read_text_or_ignore) for key in _NERD_TEXTS),
    *(Rule(name_fallback_key(key), readers.read_text_or_ignore) for key in _NERD_TEXTS),
    Rule("pidTargetTemp", readers.read_nerd_int, store="temptarget"),
    Rule("stratumDifficulty", readers.read_nerd_u32, store="stratumSuggestedDifficulty"),
    Rule("stratumEnonceSubscribe", readers.read_nerd_bool, store="stratumExtranonceSubscribe"),
    Rule("fallbackStratumEnonceSubscribe", readers.read_nerd_bool, store="fallbackStratumExtranonceSubscribe"),
    *(Rule(key, readers.read_nerd_bool) for key in ("stratumTLS", "fallbackStratumTLS")),
    *(Rule(key, readers.read_nerd_u16) for key in _NERD_U16),
    Rule("sv2AuthorityPubkey", readers.read_text_or_ignore, store="stratumV2AuthorityPubkey"),
    Rule("fallbackSv2AuthorityPubkey", readers.read_text_or_ignore, store="fallbackStratumV2AuthorityPubkey"),
    Rule("sv2ChannelType", readers.read_nerd_u16, store="stratumV2ChannelType"),
    Rule("fallbackSv2ChannelType", readers.read_nerd_u16, store="fallbackStratumV2ChannelType"),
)

_TABLES: dict[PatchRules, tuple[Rule, ...]] = {
    PatchRules.CRASHING: _make_lenient_rules(readers.read_text_or_crash, readers.read_positive),
    PatchRules.LENIENT: _make_lenient_rules(readers.read_text_or_ignore, readers.read_positive),
    PatchRules.LENIENT_REAL: _make_lenient_rules(readers.read_text_or_ignore, readers.read_positive_real),
    PatchRules.STRICT: _STRICT,
    PatchRules.NERD: _NERD,
}


def _select_rules(generation: Generation) -> dict[str, Rule]:
    rules = _TABLES[generation.patch]
    if generation.nerd:
        return {rule.key: rule for rule in rules}
    return {rule.key: rule for rule in rules if rule.since <= generation.number < rule.until}


RULES: dict[str, dict[str, Rule]] = {name: _select_rules(row) for name, row in GENERATIONS.items()}
