"""Options of the benchmark, given as NAME=VALUE: `make bench N=1000 SECONDS=60`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

KEEP_ALIVE = "keep-alive"
FIRMWARE_OF_MODE = {KEEP_ALIVE: "2.12", "close": "2.7"}
# Below this number a request for /healthz each second would be a tenth of the cost of the miners.
FEW_MINERS = 100
LIMITS = {
    "N": (1, 16000), "SECONDS": (2, 86400), "CLIENTS": (0, 1000), "WARMUP": (0.2, 86400), "INTERVAL": (1, 3600),
    "READ_EVERY": (0.2, 86400), "DEAD": (0, 90), "HANG": (0, 90),
}  # fmt: skip
QUERY_RANGES = ("1h", "24h", "7d", "365d")
SWITCH = {"on": True, "off": False}


@dataclass(frozen=True)
class Options:
    """Durations are seconds; `dead` and `hang` are percentages of the miners."""

    n: int = 1000
    seconds: float = 60.0
    clients: int = 1
    mode: str = KEEP_ALIVE
    warmup: float = 20.0
    interval: float = 5.0
    read_every: float = 5.0
    dead: int = 0
    hang: int = 0
    ticker: bool = True
    dashboards: bool = True
    bare: bool = True
    prometheus: bool = True
    restart: bool = True
    history: bool = True
    out: Path | None = None

    @property
    def firmware(self) -> str:
        """Return the firmware version that treats connections as `mode` says."""
        return FIRMWARE_OF_MODE[self.mode]

    @property
    def health_check_every(self) -> float:
        return self.read_every if self.n < FEW_MINERS else min(1.0, self.read_every)

    @property
    def faults(self) -> dict[int, str]:
        """Return the fault of each faulty miner by its number. Faulty miners are spread evenly over the fleet."""
        kinds = ["refuse"] * self.dead + ["hang"] * self.hang
        percent = len(kinds)
        faulty = [miner for miner in range(self.n) if (miner + 1) * percent // 100 > miner * percent // 100]
        return {miner: kinds[index * percent // len(faulty)] for index, miner in enumerate(faulty)}

    @property
    def healthy(self) -> int:
        return self.n - len(self.faults)


DEFAULTS = {field.name.upper(): field.default for field in fields(Options)}


def parse_options(arguments: Iterable[str]) -> Options:
    """Return the options. Raises ValueError with a message for the user."""
    given: dict[str, Any] = {}
    for argument in arguments:
        name, _, text = argument.partition("=")
        if name not in DEFAULTS:
            raise ValueError(f"{name} is not one of {', '.join(DEFAULTS)}")
        try:
            given[name.lower()] = parse_value(name, text)
        except ValueError as error:
            raise ValueError(f"{argument} is not valid: {error}") from None
    options = Options(**given)
    if options.dead + options.hang > 90:
        raise ValueError("DEAD and HANG together leave fewer than a tenth of the miners")
    return options


def parse_value(name: str, text: str) -> Any:
    if name == "OUT":
        return Path(text)
    if name in LIMITS:
        low, high = LIMITS[name]
        value = int(text) if isinstance(DEFAULTS[name], int) else float(text)
        if not low <= value <= high:
            raise ValueError(f"the value must be from {low:g} to {high:g}")
        return value
    choices = {mode: mode for mode in FIRMWARE_OF_MODE} if name == "MODE" else SWITCH
    if text not in choices:
        raise ValueError(f"the value must be one of {', '.join(choices)}")
    return choices[text]
