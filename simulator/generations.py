"""The firmware generations: one `Generation` each, with its members, formats, limits and routes.

A new generation needs a `Generation` here, a set of members in `info_fields.py` and, for members whose meaning changed,
getters in `info_members.py`. The facts are from the source of the firmware: AxeOS v2.0 … v2.15, NerdQAxe+ v1.0.30 and
v1.0.36.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from . import cjson, info_fields
from .info_fields import split_names


class PatchRules(StrEnum):
    """Sets of rules by which a firmware reads PATCH /api/system."""

    CRASHING = "crashing"
    LENIENT = "lenient"
    LENIENT_REAL = "lenient_real"
    STRICT = "strict"
    NERD = "nerd"


class OverheatReaction(StrEnum):
    """Reactions of a firmware to a chip that is too hot."""

    LATCH = "latch"
    RECOVER = "recover"
    SHUTDOWN = "shutdown"


@dataclass(frozen=True)
class Generation:
    """One firmware generation. `number` is comparable; NerdOS has (1, 0) and `nerd`.

    `fields`: members of /info; `format_best`, `round_float`: formats of difficulties and floats.
    `sockets`: max_open_sockets; `purge`: a new connection closes the least recently used one, otherwise the device
    stops accepting; `closes`: the device closes a connection after each answer.
    `patch`: rules for PATCH; `live`: settings that need no restart; `queued_writes`: NVS writes go through a queue
    (≥ 2.11); `overheat`: reaction to a chip that is too hot.
    `log_clients`: maximum number of websocket clients; if it is one, the newest client takes over the stream.
    `refuses_before_101`: refuses a websocket with 401 or 429 before the handshake (≥ 2.15). `log_by_line`: log frames
    are cut after each newline (≥ 2.14). `address_gate`: the Origin must be a private address (≥ 2.5.1).
    """

    name: str
    version: str
    number: tuple[int, int]
    idf: str
    fields: frozenset[str]
    format_best: Callable[[float], object]
    round_float: Callable[[float], float]
    sockets: int
    purge: bool
    patch: PatchRules
    overheat: OverheatReaction
    live: frozenset[str]
    header_limit: int = 512
    log_clients: int = 1
    refuses_before_101: bool = False
    log_by_line: bool = False
    log_colours: bool = True
    queued_writes: bool = False
    address_gate: bool = False
    closes: bool = False
    nerd: bool = False
    nerd_asic: bool = False

    def is_at_least(self, *number: int) -> bool:
        """Return True for AxeOS ≥ `number`. False for NerdOS, whose numbers are not comparable."""
        return not self.nerd and self.number >= number

    @property
    def has_pool_slots(self) -> bool:
        """True if pools are slots with ids and the flat stratum keys are read-only (≥ 2.15)."""
        return self.is_at_least(2, 15)

    @property
    def has_asic(self) -> bool:
        """True if GET /api/system/asic exists (AxeOS ≥ 2.7, NerdOS ≥ about 1.0.33)."""
        return self.nerd_asic or self.is_at_least(2, 7)

    @property
    def reports_mac(self) -> bool:
        """True if /info contains `macAddr` (AxeOS ≥ 2.3, NerdOS)."""
        return self.nerd or self.is_at_least(2, 3)


_LIVE = split_names(
    """frequency coreVoltage autofanspeed manualFanSpeed minFanSpeed temptarget overheat_mode
        overclockEnabled statsFrequency displayTimeout"""
)
_NERD_LIVE = _LIVE | split_names(
    """stratumURL stratumPort stratumUser stratumPassword stratumSuggestedDifficulty
        stratumExtranonceSubscribe fallbackStratumURL fallbackStratumPort fallbackStratumUser
        fallbackStratumPassword flipscreen invertscreen invertfanpolarity autoscreenoff stratumTLS
        fallbackStratumTLS stratumProtocol fallbackStratumProtocol fallbackStratumExtranonceSubscribe
        stratumV2AuthorityPubkey fallbackStratumV2AuthorityPubkey stratumV2ChannelType
        fallbackStratumV2ChannelType jobInterval overheat_temp fans"""
)

# Each generation states the difference to the generation before it.
_AXEOS_2_1 = Generation(
    name="2.1",
    version="v2.1.3",
    number=(2, 1),
    idf="v5.1.3",
    fields=info_fields.AXEOS_2_1,
    format_best=cjson.format_best_short,
    round_float=cjson.round_to_float32,
    sockets=7,
    purge=False,
    patch=PatchRules.CRASHING,
    overheat=OverheatReaction.LATCH,
    live=_LIVE,
)
_AXEOS_2_4 = replace(
    _AXEOS_2_1,
    name="2.4",
    version="v2.4.5",
    number=(2, 4),
    idf="v5.3.2",
    fields=info_fields.AXEOS_2_4,
)
_AXEOS_2_7 = replace(
    _AXEOS_2_4,
    name="2.7",
    version="v2.7.1",
    number=(2, 7),
    idf="v5.4.1",
    fields=info_fields.AXEOS_2_7,
    sockets=10,
    patch=PatchRules.LENIENT,
    address_gate=True,
)
_AXEOS_2_10 = replace(
    _AXEOS_2_7,
    name="2.10",
    version="v2.10.1",
    number=(2, 10),
    idf="v5.5",
    fields=info_fields.AXEOS_2_10,
    format_best=cjson.format_best_spaced,
    sockets=20,
    purge=True,
    patch=PatchRules.LENIENT_REAL,
    header_limit=1024,
    log_clients=10,
)
_AXEOS_2_12 = replace(
    _AXEOS_2_10,
    name="2.12",
    version="v2.12.2",
    number=(2, 12),
    idf="v5.5.1",
    fields=info_fields.AXEOS_2_12,
    format_best=cjson.format_best_number,
    round_float=cjson.round_to_7_decimals,
    patch=PatchRules.STRICT,
    overheat=OverheatReaction.RECOVER,
    queued_writes=True,
)
_AXEOS_2_15 = replace(
    _AXEOS_2_12,
    name="2.15",
    version="v2.15.0",
    number=(2, 15),
    idf="v6.0.2",
    fields=info_fields.AXEOS_2_15,
    refuses_before_101=True,
    log_by_line=True,
    live=_LIVE | {"hostname"},
)
_NERD_1_0_30 = Generation(
    name="nerd",
    version="v1.0.30",
    number=(1, 0),
    idf="v5.4",
    fields=info_fields.NERDOS_1_0,
    format_best=cjson.format_best_short,
    round_float=cjson.round_to_7_decimals,
    sockets=10,
    purge=True,
    patch=PatchRules.NERD,
    overheat=OverheatReaction.SHUTDOWN,
    header_limit=1024,
    log_colours=False,
    address_gate=True,
    closes=True,
    nerd=True,
    live=_NERD_LIVE,
)
_NERD_1_0_36 = replace(
    _NERD_1_0_30, name="nerd1.0.36", version="v1.0.36", format_best=cjson.format_best_number, nerd_asic=True
)
_NERD_1_1 = replace(_NERD_1_0_36, name="nerd1.1", version="v1.1.0", fields=info_fields.NERDOS_1_1)

GENERATIONS: dict[str, Generation] = {
    generation.name: generation
    for generation in (
        _AXEOS_2_1,
        _AXEOS_2_4,
        _AXEOS_2_7,
        _AXEOS_2_10,
        _AXEOS_2_12,
        _AXEOS_2_15,
        _NERD_1_0_30,
        _NERD_1_0_36,
        _NERD_1_1,
    )
}
