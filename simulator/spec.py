"""The spec of a miner and the durations of its operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .asic_boards import BOARDS
from .generations import GENERATIONS
from .listener import Address
from .settings_store import make_factory_pools, make_factory_settings


@dataclass(frozen=True)
class Timings:
    """Durations in seconds.

    `boot`: unreachable during a boot; `before_restart`: from the answer to the reset (1 s in the firmware);
    `mining`: from the boot to the first hash; `queue`: delay of a queued NVS write; `cooling`: safe mode after
    overheating; `resume`: raising the frequency; `latency`: before each answer.
    """

    boot: float = 2.0
    before_restart: float = 0.2
    mining: float = 3.0
    queue: float = 0.3
    cooling: float = 10.0
    resume: float = 2.0
    latency: float = 0.0


# Durations of real devices, for the demo.
LIFELIKE = Timings(boot=5.0, before_restart=1.0, mining=8.0, cooling=30.0)


@dataclass(frozen=True)
class MinerSpec:
    """The spec of one miner. Port 0 selects any free port.

    `body`: a recorded /info, served unchanged; `asic_body`: a recorded /asic. `otp`: NerdOS requires `otp_code` for
    writes. `log_rate`: lines per second. `settings` override the factory settings. For the benchmark: `stamp` adds the
    time of printing to /info, `exposition` (keep-alive or close) adds GET /metrics.
    """

    generation: str = "2.12"
    board: str = "601"
    hostname: str = "bitaxe"
    mac: str = "02:00:5e:00:00:01"
    address: Address = ("127.0.0.1", 0)
    body: bytes | None = None
    asic_body: bytes | None = None
    otp: bool = False
    otp_code: str = "123456"
    log_rate: float = 2.0
    settings: Mapping[str, Any] | None = None
    stamp: bool = False
    exposition: str = ""


def canonical_mac(mac: str) -> str:
    """Return the canonical MAC: lower case with colons. Raises: ValueError."""
    digits = "".join(letter for letter in mac.lower() if letter in "0123456789abcdef")
    if len(digits) != 12:
        raise ValueError(f"not a MAC: {mac!r}")
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def make_first_settings(spec: MinerSpec) -> dict[str, Any]:
    """Return the settings that are stored at the first start."""
    generation = GENERATIONS[spec.generation]
    pools = make_factory_pools(spec.hostname.replace(" ", "_"), "public-pool.io", slots=generation.has_pool_slots)
    own = {"autofanspeed": 2, "temptarget": 55} if generation.nerd else {}
    return make_factory_settings(BOARDS[spec.board], spec.hostname) | pools | own | dict(spec.settings or {})
