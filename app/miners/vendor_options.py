"""The frequencies and core voltages that the vendor lists: the miner's own lists in /api/system/asic, else a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.miners.dialects import find_stated_model, parse_chip_count
from app.miners.values import parse_number


@dataclass(frozen=True, slots=True)
class Options:
    """Frequencies in MHz and core voltages in mV. `source`: "device" or "table". `max_*`: NerdOS' absolute limits."""

    frequencies: tuple[float, ...]
    voltages: tuple[float, ...]
    source: str = "table"
    max_frequency: float | None = None
    max_voltage: float | None = None


@dataclass(frozen=True, slots=True)
class Board:
    """A miner's hardware according to /api/system/asic. None: the answer lacks the value."""

    model: str | None = None
    chips: int | None = None
    options: Options | None = None


NO_BOARD = Board()
NO_OPTIONS = Options((), ())
_LIMITS = {"max_frequency": "absMaxFrequency", "max_voltage": "absMaxVoltage"}
_BM1370_VOLTAGES = (1000, 1060, 1100, 1150, 1200, 1250)

# Source: device_config.h of AxeOS v2.15, with 575 for BM1370 (issue 10, section 8); BM1372/73 from master.
_BY_CHIP: dict[str, Options] = {
    "BM1397": Options((400, 425, 450, 475, 485, 500, 525, 550, 575, 600), tuple(range(1100, 1501, 50))),
    "BM1366": Options((400, 425, 450, 475, 485, 500, 525, 550, 575), (1100, 1150, 1200, 1250, 1300)),
    "BM1368": Options((400, 425, 450, 475, 485, 490, 500, 525, 550, 575), (1100, 1150, 1166, 1200, 1250, 1300)),
    "BM1370": Options((400, 490, 525, 550, 575, 600, 625), _BM1370_VOLTAGES),
    "BM1372": Options((327, 350, 375, 380, 400, 410), _BM1370_VOLTAGES),
    "BM1373": Options((327, 350, 375, 380, 400, 410), _BM1370_VOLTAGES),
}
# GammaDuo carries the BM1370XP, which it reports as BM1370.
_BY_BOARD: dict[str, Options] = {"650": Options((350, 375, 380, 400, 410), _BM1370_VOLTAGES)}


def look_up_options(info: Mapping[str, Any]) -> Options:
    """Return the options of the board, else of the chip; empty if neither is in a table."""
    return _BY_BOARD.get(str(info.get("boardVersion"))) or _BY_CHIP.get(str(info.get("ASICModel")), NO_OPTIONS)


def parse_board(body: Mapping[str, Any]) -> Board:
    """Return model, chip count and options from an answer of /api/system/asic."""
    return Board(
        find_stated_model(body, ("deviceModel",)), parse_chip_count(body.get("asicCount")), parse_options(body)
    )


def parse_options(body: Mapping[str, Any]) -> Options | None:
    """Return the device's own lists, or None if it has none (AxeOS ≥ 2.7 and NerdOS ≥ 1.0.33 have them)."""
    frequencies, voltages = (_select_positive_numbers(body.get(key)) for key in ("frequencyOptions", "voltageOptions"))
    if not frequencies or not voltages:
        return None
    # NerdOS reports 0 for "no limit".
    most = {field: _parse_positive(body.get(key)) for field, key in _LIMITS.items()}
    return Options(frequencies, voltages, "device", **most)


def _parse_positive(value: object) -> float | None:
    found = _select_positive_numbers([value])
    return found[0] if found else None


def _select_positive_numbers(values: object) -> tuple[float, ...]:
    items = values if isinstance(values, list) else []
    return tuple(
        item for item in items[:256] if isinstance(item, (int, float)) and not isinstance(item, bool) and item > 0
    )


def add_present_values(options: Options, info: Mapping[str, Any]) -> Options:
    """Return the options plus the present frequency and core voltage, which a form has to show.

    For responses only: a present value does not extend the limits of later writes.
    """
    return replace(
        options,
        frequencies=_add_present_value(options.frequencies, info.get("frequency")),
        voltages=_add_present_value(options.voltages, info.get("coreVoltage")),
    )


def _add_present_value(listed: tuple[float, ...], present: object) -> tuple[float, ...]:
    value = parse_number(present)
    if value is None or value <= 0 or value in listed:
        return listed
    is_whole = value.is_integer() and value < 2**53  # larger integers are not exact in every JSON parser
    return tuple(sorted((*listed, int(value) if is_whole else value)))


def label_values(values: tuple[float, ...]) -> list[dict[str, Any]]:
    """Return the values as the frontend's select boxes need them: `[{"label": "400", "value": 400}]`."""
    return [{"label": str(value), "value": value} for value in values]
