"""Read the chips of a device: hashrate, errors and temperature of each ASIC, and the hashrate of its domains."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from app.miners.values import Info, parse_number
from app.models import Chip

# No board has more; the answer of a miner can name any number.
MAX_CHIPS = 64
MAX_DOMAINS = 32
_NAN = float("nan")
WHOLE_CHIP = 0


def read_chips(info: Info) -> tuple[Chip, ...]:
    """Return the chips that the answer describes; () if it describes none.

    AxeOS since 2.11 has `hashrateMonitor`, absent or empty before the first job. NerdOS has `asicTemps`, in which 0
    means "no reading".
    """
    monitor, temperatures = info.get("hashrateMonitor"), info.get("asicTemps")
    asics = monitor.get("asics") if isinstance(monitor, dict) else None
    rows = asics[:MAX_CHIPS] if isinstance(asics, list) else []
    degrees = temperatures[:MAX_CHIPS] if isinstance(temperatures, list) else []
    if not rows and not any(map(_parse_temperature, degrees)):
        return ()
    pairs = enumerate(zip_longest(rows, degrees), 1)
    return tuple(_read_chip(number, row, temperature) for number, (row, temperature) in pairs)


def find_silent_domains(chips: tuple[Chip, ...]) -> list[tuple[int, int]]:
    """Return (chip, domain) of each domain that produces nothing while others hash, both counted from 1. A chip of
    which no part hashes is one row with the domain WHOLE_CHIP."""
    silent = [
        (chip.number, domain)
        for chip in chips
        if 0.0 in (chip.domains or (chip.hashrate_ghs,))
        for domain in _list_silent_domains(chip)
    ]
    return silent if silent and any(map(_is_hashing, chips)) else []


def _read_chip(number: int, row: Any, temperature: Any) -> Chip:
    if not isinstance(row, dict):
        return Chip(number, temperature_celsius=_parse_temperature(temperature))
    listed = row.get("domains")
    domains = listed[:MAX_DOMAINS] if isinstance(listed, list) else []
    return Chip(
        number,
        _parse_amount(row.get("total")),
        _parse_amount(row.get("errorCount")),
        _parse_temperature(temperature),
        tuple([_NAN if (value := _parse_amount(each)) is None else value for each in domains]),
    )


def _parse_amount(value: object) -> float | None:
    number = parse_number(value)
    return number if number is not None and number >= 0 else None


def _parse_temperature(value: object) -> float | None:
    """Return the temperature; None for 0 and for the -1 of a chip without power."""
    number = parse_number(value)
    return number if number not in (None, 0.0, -1.0) else None


def _list_silent_domains(chip: Chip) -> list[int]:
    if not chip.domains or all(rate == 0 for rate in chip.domains):
        return [WHOLE_CHIP]
    return [domain for domain, rate in enumerate(chip.domains, 1) if rate == 0]


def _is_hashing(chip: Chip) -> bool:
    return any(rate > 0 for rate in chip.domains) if chip.domains else bool(chip.hashrate_ghs)
