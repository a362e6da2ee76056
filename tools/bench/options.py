"""What the caller may choose, as NAME=VALUE: `make bench N=1000 SECONDS=60`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

KEEP_ALIVE = "keep-alive"
GENERATIONS = {KEEP_ALIVE: "2.12", "close": "2.7"}
FEW_MINERS = 100


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
    out: Path | None = None

    @property
    def generation(self) -> str:
        """The firmware whose connections are kept, or not."""
        return GENERATIONS[self.mode]

    @property
    def probe_every(self) -> float:
        """How often /healthz is asked: once a second would be a tenth of what twelve miners cost."""
        return self.read_every if self.n < FEW_MINERS else min(1.0, self.read_every)

    @property
    def faults(self) -> dict[int, str]:
        """Number of a miner → its fault. The sick are spread over the fleet."""
        kinds = ["refuse"] * self.dead + ["hang"] * self.hang
        sick = _spread(self.n, len(kinds))
        return {miner: kinds[at * len(kinds) // len(sick)] for at, miner in enumerate(sick)}

    @property
    def healthy(self) -> int:
        return self.n - len(self.faults)


def _spread(count: int, percent: int) -> list[int]:
    return [number for number in range(count) if (number + 1) * percent // 100 > number * percent // 100]


def parse(arguments: Iterable[str]) -> Options:
    """Raises ValueError in words."""
    given = dict(_pair(argument) for argument in arguments)
    options = Options(**{name.lower(): value for name, value in given.items()})
    if options.dead + options.hang > 90:
        raise ValueError("DEAD and HANG together leave fewer than a tenth of the miners")
    return options


def _pair(argument: str) -> tuple[str, Any]:
    name, _, text = argument.partition("=")
    if name not in PARSERS:
        raise ValueError(f"{name} is not one of {', '.join(PARSERS)}")
    try:
        return name, PARSERS[name](text)
    except ValueError as error:
        raise ValueError(f"{argument} cannot be used: {error}") from None


def _within(kind: Callable[[str], Any], low: float, high: float) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        value = kind(text)
        if not low <= value <= high:
            raise ValueError(f"{low:g} to {high:g} is possible")
        return value

    return parse


def _mode(text: str) -> str:
    if text not in GENERATIONS:
        raise ValueError(f"one of {', '.join(GENERATIONS)} is needed")
    return text


def _switch(text: str) -> bool:
    if text not in ("on", "off"):
        raise ValueError("on or off is needed")
    return text == "on"


_SECONDS = _within(float, 0.2, 86400)
PARSERS: dict[str, Callable[[str], Any]] = {
    "N": _within(int, 1, 16000),
    "SECONDS": _within(float, 2, 86400),
    "CLIENTS": _within(int, 0, 1000),
    "MODE": _mode,
    "WARMUP": _SECONDS,
    "INTERVAL": _within(float, 1, 3600),
    "READ_EVERY": _SECONDS,
    "DEAD": _within(int, 0, 90),
    "HANG": _within(int, 0, 90),
    "TICKER": _switch,
    "DASHBOARDS": _switch,
    "BARE": _switch,
    "PROMETHEUS": _switch,
    "RESTART": _switch,
    "OUT": Path,
}

assert set(PARSERS) == {field.name.upper() for field in fields(Options)}  # noqa: S101
