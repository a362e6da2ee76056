"""The hardware: ASIC chips with their vendor options, and the boards with these chips.

Frequencies in MHz, core voltages in mV, powers in W. Options and defaults are those of AxeOS 2.15's
`device_config.h`; watts per chip are typical readings, not vendor figures.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Chip:
    """One ASIC type. `watts`: power of one chip at its default frequency and voltage."""

    name: str
    small_cores: int
    default_mhz: int
    default_mv: int
    frequencies: tuple[int, ...]
    voltages: tuple[int, ...]
    domains: int
    watts: float


@dataclass(frozen=True)
class Board:
    """One board version.

    `ina260`: the board measures its input current and has no regulator sensor; otherwise a TPS546 measures the output
    current.
    """

    version: str
    model: str
    chip: Chip
    chips: int
    max_watts: int
    volts: int
    swarm_color: str
    ina260: bool = False
    overhead_watts: float = 5.0

    @property
    def expected_cores(self) -> int:
        """Number of small cores of all chips: GH/s = MHz × cores / 1000."""
        return self.chip.small_cores * self.chips


_BM1370_MV = (1000, 1060, 1100, 1150, 1200, 1250)

BM1397 = Chip(
    "BM1397",
    672,
    425,
    1400,
    (400, 425, 450, 475, 485, 500, 525, 550, 575, 600),
    tuple(range(1100, 1501, 50)),
    1,
    12.0,
)
BM1366 = Chip(
    "BM1366",
    894,
    485,
    1200,
    (400, 425, 450, 475, 485, 500, 525, 550, 575),
    (1100, 1150, 1200, 1250, 1300),
    1,
    11.0,
)
BM1368 = Chip(
    "BM1368",
    1276,
    490,
    1166,
    (400, 425, 450, 475, 485, 490, 500, 525, 550, 575),
    (1100, 1150, 1166, 1200, 1250, 1300),
    4,
    13.0,
)
BM1370 = Chip("BM1370", 2040, 525, 1150, (400, 490, 525, 550, 600, 625), _BM1370_MV, 4, 13.5)
# The chips of the Duo are BM1370 that run slower. /info names them BM1370; only the options table says XP.
BM1370XP = Chip("BM1370", 2040, 400, 1150, (350, 375, 380, 400, 410), _BM1370_MV, 4, 10.5)

BOARDS: dict[str, Board] = {
    board.version: board
    for board in (
        Board("2.2", "Max", BM1397, 1, 25, 5, "red", ina260=True, overhead_watts=1.0),
        Board("102", "Max", BM1397, 1, 25, 5, "red", ina260=True, overhead_watts=1.0),
        Board("0.11", "Ultra", BM1366, 1, 25, 5, "purple", ina260=True, overhead_watts=1.0),
        Board("204", "Ultra", BM1366, 1, 25, 5, "purple", ina260=True, overhead_watts=1.0),
        Board("302", "Hex", BM1366, 6, 90, 12, "orange", overhead_watts=10.0),
        Board("401", "Supra", BM1368, 1, 40, 5, "blue", ina260=True, overhead_watts=1.0),
        Board("601", "Gamma", BM1370, 1, 40, 5, "green"),
        Board("602", "Gamma", BM1370, 1, 40, 5, "green"),
        Board("650", "GammaDuo", BM1370XP, 2, 40, 5, "green"),
        Board("701", "SupraHex", BM1368, 6, 120, 12, "blue", overhead_watts=12.0),
        Board("801", "GammaTurbo", BM1370, 2, 60, 12, "green", overhead_watts=8.0),
        # NerdOS reports no boardVersion; only the simulator uses this key.
        Board("nerdqaxe+", "NerdQAxe+", BM1368, 4, 70, 12, "#11d51e", ina260=True, overhead_watts=8.0),
    )
}


def describe_asic(board: Board, *, names: bool, domains: bool, nerd: bool) -> dict[str, object]:
    """Return the body of GET /api/system/asic.

    `names`: with deviceModel and defaults (AxeOS ≥ 2.9); `domains`: with hashDomains (≥ 2.15).
    """
    chip = board.chip
    rows: list[tuple[str, object, bool]] = [
        ("ASICModel", chip.name, True),
        ("deviceModel", board.model, names),
        ("swarmColor", board.swarm_color, names),
        ("asicCount", board.chips, True),
        ("hashDomains", chip.domains, domains),
        ("defaultFrequency", chip.default_mhz, names),
        ("frequencyOptions", list(chip.frequencies), True),
        ("defaultVoltage", chip.default_mv, names),
        ("voltageOptions", list(chip.voltages), True),
        ("absMaxFrequency", 0, nerd),
        ("absMaxVoltage", 0, nerd),
        ("ecoFrequency", 0, nerd),
        ("ecoVoltage", 0, nerd),
    ]
    return {key: value for key, value, present in rows if present}
