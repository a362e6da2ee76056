"""The lines of a device's derived figures and of its chips in the text format."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from app.models import Chip, Derived, ProvenHashrate, ShareRate
from app.services.metrics.text_format import format_number

_GAUGE, _COUNTER = "gauge", "counter"
# The families in three groups, in the order of `DerivedLines.lines`.
_FIGURES: tuple[tuple[str, str, Callable[[Derived], float | None]], ...] = (
    (
        "pluto_device_hashrate_percent",
        "Hashrate in percent of what to expect of chips and frequency",
        lambda derived: derived.hashrate_percent,
    ),
    (
        "pluto_device_reject_percent",
        "Rejected part of the shares of the last hour in percent",
        lambda derived: derived.reject_percent,
    ),
    (
        "pluto_device_block_chance_per_day",
        "Probability of a block within a day at the hashrate of the last hour, 0 to 1",
        lambda derived: derived.block_probability_per_day,
    ),
)
_PROVEN: tuple[tuple[str, str, Callable[[ShareRate], float]], ...] = (
    (
        "pluto_device_proven_hashrate_ghs",
        "Hashrate in GH/s that the accepted shares of a window prove; absent below 25 shares",
        lambda rate: rate.estimate,
    ),
    (
        "pluto_device_proven_hashrate_low_ghs",
        "Lower limit of the 95 % confidence interval of the share-proven hashrate in GH/s",
        lambda rate: rate.low,
    ),
    (
        "pluto_device_proven_hashrate_high_ghs",
        "Upper limit of the 95 % confidence interval of the share-proven hashrate in GH/s",
        lambda rate: rate.high,
    ),
)
_CHIPS: tuple[tuple[str, str, str, Callable[[Chip], float | None]], ...] = (
    ("pluto_device_asic_hashrate_ghs", "Hashrate of one chip in GH/s", _GAUGE, lambda chip: chip.hashrate_ghs),
    (
        "pluto_device_asic_errors_total",
        "Wrong results of one chip since the miner's start",
        _COUNTER,
        lambda chip: chip.errors,
    ),
    (
        "pluto_device_asic_temperature_celsius",
        "Temperature of one chip in degrees Celsius",
        _GAUGE,
        lambda chip: chip.temperature_celsius,
    ),
)
DERIVED_FAMILIES = (
    *((name, help_, _GAUGE) for name, help_, _ in _FIGURES),
    *((name, help_, _GAUGE) for name, help_, _ in _PROVEN),
    *((name, help_, kind) for name, help_, kind, _ in _CHIPS),
)


@dataclass(frozen=True, slots=True)
class DerivedLines:
    """`lines` has the lines of each of DERIVED_FAMILIES, "" for none. `proven` and `suffix`: the input of the lines of
    the share-proven hashrate, which are reused while both stay."""

    proven: tuple[ProvenHashrate, ...]
    suffix: str
    lines: tuple[str, ...]


NO_LINES = DerivedLines((), "", ("",) * len(DERIVED_FAMILIES))


def render_derived(derived: Derived | None, suffix: str, before: DerivedLines) -> DerivedLines:
    """Render the derived figures of a device. `suffix`: its labels; `before`: its lines of the previous reading."""
    if derived is None:
        return NO_LINES
    start = suffix[:-1]
    figures = [
        "" if (value := read(derived)) is None else f"{name}{suffix} {format_number(value)}\n"
        for name, _, read in _FIGURES
    ]
    if before.proven is derived.proven and before.suffix == suffix:
        proven: Iterable[str] = before.lines[len(_FIGURES) : len(_FIGURES) + len(_PROVEN)]
    else:
        rates = [(each.window, each.rate) for each in derived.proven if each.rate is not None]
        proven = [
            "".join([f'{name}{start},window="{window}"}} {format_number(read(rate))}\n' for window, rate in rates])
            for name, _, read in _PROVEN
        ]
    chips = [_join_chip_lines(name, start, read, derived.chips) for name, _, _, read in _CHIPS]
    return DerivedLines(derived.proven, suffix, (*figures, *proven, *chips))


def _join_chip_lines(name: str, start: str, read: Callable[[Chip], float | None], chips: Iterable[Chip]) -> str:
    return "".join(
        [
            f'{name}{start},asic="{chip.number}"}} {format_number(value)}\n'
            for chip in chips
            if (value := read(chip)) is not None
        ]
    )
