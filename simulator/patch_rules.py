"""Which keys PATCH /api/system knows, per firmware, and which reader takes their values. Tables only."""

from __future__ import annotations

from dataclasses import dataclass

from . import patch_readers as read
from .generations import GENERATIONS, Generation
from .patch_readers import U16, Reader
from .settings import fallback_name

NEVER = (99, 0)


@dataclass(frozen=True)
class Rule:
    """One key. `store`: its name in the settings store; in AxeOS from `since` to before `until`."""

    key: str
    reader: Reader
    store: str = ""
    since: tuple[int, int] = (0, 0)
    until: tuple[int, int] = NEVER

    @property
    def target(self) -> str:
        """Where the value goes."""
        return self.store or self.key


def _lenient(text: Reader, frequency: Reader) -> tuple[Rule, ...]:
    texts = ("stratumURL", "stratumUser", "stratumPassword", "ssid", "wifiPass")
    later = ("fallbackStratumURL", "fallbackStratumUser", "fallbackStratumPassword")
    return (
        *(Rule(key, text) for key in texts),
        *(Rule(key, text, since=(2, 3)) for key in later),
        Rule("hostname", text, since=(2, 1)),
        Rule("stratumPort", read.u16),
        Rule("fallbackStratumPort", read.u16, since=(2, 3)),
        Rule("frequency", frequency),
        Rule("coreVoltage", read.positive),
        Rule("autofanspeed", read.u16),
        Rule("fanspeed", read.u16, store="manualFanSpeed"),
        Rule("flipscreen", read.u16, until=(2, 9)),
        Rule("invertscreen", read.u16),
        Rule("invertfanpolarity", read.u16, until=(2, 7)),
        Rule("overheat_mode", read.zero, since=(2, 2)),
        Rule("overclockEnabled", read.u16, since=(2, 6)),
        Rule("temptarget", read.u16, since=(2, 7)),
        Rule("displayTimeout", read.signed, since=(2, 7)),
        Rule("display", text, since=(2, 8)),
        Rule("rotation", read.u16, since=(2, 9)),
        Rule("statsFrequency", read.u16, since=(2, 9)),
        Rule("stratumSuggestedDifficulty", read.u16, since=(2, 9)),
        Rule("stratumExtranonceSubscribe", read.u16, since=(2, 9)),
        Rule("fallbackStratumSuggestedDifficulty", read.u16, since=(2, 9)),
        Rule("fallbackStratumExtranonceSubscribe", read.u16, since=(2, 9)),
        Rule("minFanSpeed", read.u16, since=(2, 10)),
    )


_POOL = {
    "stratumURL": read.text(0, 255),
    "stratumPort": read.whole(0, U16),
    "stratumUser": read.text(0, 255),
    "stratumPassword": read.text(0, 255),
    "stratumSuggestedDifficulty": read.whole(0, U16),
    "stratumExtranonceSubscribe": read.flag,
}
_POOL_LATER = {
    "stratumTLS": read.whole(0, 3),
    "stratumCert": read.text(0, 3000),
    "stratumDecodeCoinbase": read.flag,
    "stratumProtocol": read.one_of("SV1", "SV2"),
    "stratumV2ChannelType": read.text(0, 32),
    "stratumV2AuthorityPubkey": read.text(0, 128),
}
# Since 2.15 the flat stratum keys are reported but no longer written: 200, and nothing happens.
_FLAT_GONE = (2, 15)

_STRICT = (
    *(Rule(key, reader, until=_FLAT_GONE) for key, reader in _POOL.items()),
    *(Rule(fallback_name(key), reader, until=_FLAT_GONE) for key, reader in _POOL.items()),
    *(Rule(key, reader, since=(2, 13), until=_FLAT_GONE) for key, reader in _POOL_LATER.items()),
    *(Rule(fallback_name(key), reader, since=(2, 13), until=_FLAT_GONE) for key, reader in _POOL_LATER.items()),
    Rule("frequency", read.real(1, U16)),
    Rule("coreVoltage", read.whole(1, U16)),
    Rule("autofanspeed", read.flag),
    Rule("manualFanSpeed", read.whole(0, 100)),
    Rule("minFanSpeed", read.whole(0, 99)),
    Rule("temptarget", read.whole(35, 66)),
    Rule("overheat_mode", read.one_of(0)),
    Rule("overclockEnabled", read.flag),
    Rule("statsFrequency", read.whole(0, U16)),
    Rule("displayTimeout", read.whole(-1, U16)),
    Rule("hostname", read.text(1, 32)),
    Rule("ssid", read.text(1, 32)),
    Rule("wifiPass", read.text(0, 63)),
    Rule("display", read.text(1, 64)),
    Rule("rotation", read.one_of(0, 90, 180, 270)),
    Rule("invertscreen", read.flag),
    Rule("displayOffset", read.whole(-128, 127)),
    Rule("useFallbackStratum", read.flag),
    Rule("useCustomWWW", read.flag, since=(2, 15)),
    Rule("primaryPoolIndex", read.whole(0, 7), since=(2, 15)),
    Rule("secondaryPoolIndex", read.whole(0, 7), since=(2, 15)),
)

_NERD = (
    *(Rule(key, read.is_int) for key in ("frequency", "coreVoltage", "manualFanSpeed", "autofanspeed")),
    *(Rule(key, read.is_int) for key in ("stratumPort", "fallbackStratumPort")),
    *(Rule(key, read.is_bool) for key in ("flipscreen", "invertscreen", "invertfanpolarity", "autoscreenoff")),
    *(Rule(key, read.text_or_nothing) for key in ("hostname", "ssid", "wifiPass")),
    *(Rule(key, read.text_or_nothing) for key in ("stratumURL", "stratumUser", "stratumPassword")),
    *(Rule(fallback_name(key), read.text_or_nothing) for key in ("stratumURL", "stratumUser", "stratumPassword")),
    Rule("pidTargetTemp", read.is_int, store="temptarget"),
    Rule("stratumDifficulty", read.is_u32, store="stratumSuggestedDifficulty"),
    Rule("stratumEnonceSubscribe", read.is_bool, store="stratumExtranonceSubscribe"),
    Rule("fallbackStratumEnonceSubscribe", read.is_bool, store="fallbackStratumExtranonceSubscribe"),
    *(Rule(key, read.is_bool) for key in ("stratumTLS", "fallbackStratumTLS")),
    *(Rule(key, read.is_u16) for key in ("stratumProtocol", "fallbackStratumProtocol", "poolMode", "overheat_temp")),
    Rule("jobInterval", read.is_u16),
    Rule("sv2AuthorityPubkey", read.text_or_nothing, store="stratumV2AuthorityPubkey"),
    Rule("fallbackSv2AuthorityPubkey", read.text_or_nothing, store="fallbackStratumV2AuthorityPubkey"),
    Rule("sv2ChannelType", read.is_u16, store="stratumV2ChannelType"),
    Rule("fallbackSv2ChannelType", read.is_u16, store="fallbackStratumV2ChannelType"),
)

_TABLES: dict[str, tuple[Rule, ...]] = {
    "crashing": _lenient(read.text_or_crash, read.positive),
    "lenient": _lenient(read.text_or_nothing, read.positive),
    "lenient_real": _lenient(read.text_or_nothing, read.positive_real),
    "strict": _STRICT,
    "nerd": _NERD,
}


def _rules_of(generation: Generation) -> dict[str, Rule]:
    rules = _TABLES[generation.patch]
    if generation.nerd:
        return {rule.key: rule for rule in rules}
    return {rule.key: rule for rule in rules if rule.since <= generation.number < rule.until}


RULES: dict[str, dict[str, Rule]] = {name: _rules_of(row) for name, row in GENERATIONS.items()}
