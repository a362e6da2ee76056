"""The firmware generations, one row each: what they call things, how they print them, what they can do.

A new generation is a row here, an order of fields in `field_orders.py` and, where a field changed its meaning, a
getter in `fields.py`. Facts are from the firmware's source: AxeOS v2.0 … v2.15, NerdQAxe+ v1.0.30 and v1.0.36.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from . import cjson, field_orders

HOSTS_LIVE = frozenset({"hostname"})


@dataclass(frozen=True)
class Generation:
    """One firmware generation. `number` is comparable; NerdOS counts as (1, 0) and has `nerd` set.

    `sockets`: max_open_sockets; `purge`: the least recently used one is closed when they run out, otherwise the
    device stops accepting. `log_clients`: websocket clients at a time; with one, the newest steals the stream.
    `queued_writes`: NVS writes go through a queue (≥ 2.11). `patch`: which rule set reads a PATCH.
    """

    name: str
    version: str
    number: tuple[int, int]
    idf: str
    fields: tuple[str, ...]
    best: Callable[[float], object]
    real: Callable[[float], float]
    printed: Callable[[object], str]
    sockets: int
    purge: bool
    patch: str
    overheat: str
    header_limit: int = 1024
    log_clients: int = 1
    refusal: str = "steal"
    log_by_line: bool = False
    log_colours: bool = True
    queued_writes: bool = False
    address_gate: bool = True
    closes: bool = False
    nerd: bool = False
    nerd_asic: bool = False
    live: frozenset[str] = field(default_factory=frozenset)

    @property
    def tabs(self) -> bool:
        """Whether cJSON_Print (tabs) or cJSON_PrintUnformatted made the answer."""
        return self.printed is cjson.tabbed

    def since(self, *number: int) -> bool:
        """AxeOS at least `number`; NerdOS follows none of AxeOS's numbers."""
        return not self.nerd and self.number >= number

    @property
    def slots(self) -> bool:
        """Pools are slots with ids; the flat stratum keys are read-only (≥ 2.15)."""
        return self.since(2, 15)

    @property
    def has_asic(self) -> bool:
        """GET /api/system/asic exists (AxeOS ≥ 2.7, NerdOS ≥ about 1.0.33)."""
        return self.nerd_asic or self.since(2, 7)

    @property
    def reports_mac(self) -> bool:
        """`macAddr` is in /info (AxeOS ≥ 2.3, NerdOS)."""
        return self.nerd or self.since(2, 3)


_LIVE = frozenset(
    {
        "frequency", "coreVoltage", "autofanspeed", "manualFanSpeed", "minFanSpeed", "temptarget", "overheat_mode",
        "overclockEnabled", "statsFrequency", "displayTimeout",
    }
)  # fmt: skip
_NERD_LIVE = _LIVE | {
    "stratumURL", "stratumPort", "stratumUser", "stratumPassword", "stratumSuggestedDifficulty",
    "stratumExtranonceSubscribe", "fallbackStratumURL", "fallbackStratumPort", "fallbackStratumUser",
    "fallbackStratumPassword", "flipscreen", "invertscreen", "invertfanpolarity", "autoscreenoff",
}  # fmt: skip

_ROWS = (
    Generation(
        "2.1", "v2.1.3", (2, 1), "v5.1.3", field_orders.AXEOS_2_1, cjson.best_text_short, cjson.float32, cjson.tabbed,
        sockets=7, purge=False, patch="crashing", overheat="latch", header_limit=512, address_gate=False, live=_LIVE,
    ),
    Generation(
        "2.4", "v2.4.5", (2, 4), "v5.3.2", field_orders.AXEOS_2_4, cjson.best_text_short, cjson.float32, cjson.tabbed,
        sockets=7, purge=False, patch="crashing", overheat="latch", header_limit=512, address_gate=False, live=_LIVE,
    ),
    Generation(
        "2.7", "v2.7.1", (2, 7), "v5.4.1", field_orders.AXEOS_2_7, cjson.best_text_short, cjson.float32, cjson.tabbed,
        sockets=10, purge=False, patch="lenient", overheat="latch", header_limit=512, live=_LIVE,
    ),
    Generation(
        "2.10", "v2.10.1", (2, 10), "v5.5", field_orders.AXEOS_2_10, cjson.best_text_spaced, cjson.float32,
        cjson.tabbed, sockets=20, purge=True, patch="lenient_real", overheat="latch", log_clients=10, refusal="after_101",
        live=_LIVE,
    ),
    Generation(
        "2.12", "v2.12.2", (2, 12), "v5.5.1", field_orders.AXEOS_2_12, cjson.best_number, cjson.rounded7, cjson.tabbed,
        sockets=20, purge=True, patch="strict", overheat="recover", log_clients=10, refusal="after_101",
        queued_writes=True, live=_LIVE,
    ),
    Generation(
        "2.15", "v2.15.0", (2, 15), "v6.0.2", field_orders.AXEOS_2_15, cjson.best_number, cjson.rounded7,
        cjson.compact, sockets=20, purge=True, patch="strict", overheat="recover", log_clients=10, refusal="429",
        log_by_line=True, queued_writes=True, live=_LIVE | HOSTS_LIVE,
    ),
    Generation(
        "nerd", "v1.0.30", (1, 0), "v5.4", field_orders.NERDOS_1_0, cjson.best_text_short, cjson.rounded7,
        cjson.compact, sockets=10, purge=True, patch="nerd", overheat="shutdown", log_colours=False, closes=True,
        nerd=True, live=_NERD_LIVE,
    ),
    Generation(
        "nerd1.0.36", "v1.0.36", (1, 0), "v5.4", field_orders.NERDOS_1_0, cjson.best_number, cjson.rounded7,
        cjson.compact, sockets=10, purge=True, patch="nerd", overheat="shutdown", log_colours=False, closes=True,
        nerd=True, nerd_asic=True, live=_NERD_LIVE,
    ),
)  # fmt: skip

GENERATIONS: dict[str, Generation] = {row.name: row for row in _ROWS}
