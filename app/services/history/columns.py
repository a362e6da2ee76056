"""The columns of the history: their names and how a span of time is summarised. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from app.miners.measures import MEASURES, Recorded
from app.models import Status


class Kind(StrEnum):
    """How a column's values of a span are summarised. The value is the letter in a stored block.

    `GAUGE`: minimum, mean, maximum and count. `SUM`: the sum. `LAST`: the last value. `RAW`: only in raw blocks; the
    summary is computed from it (see `frames.expand_status`).
    """

    GAUGE = "g"
    SUM = "s"
    LAST = "l"
    RAW = "r"


# The summary of a gauge consists of the mean, under the column's own name, and these.
MIN_SUFFIX, MAX_SUFFIX, COUNT_SUFFIX = "<", ">", "#"
TOTAL_SUFFIX = "_total"
# What float32 cannot hold of a total above 2^24.
REST_SUFFIX = "_rest"
DEVICES_SUFFIX = "_devices"

STATUS = "status"
ELAPSED = "elapsed"
# A status is stored as its position in this list. Stored blocks depend on it: only append.
STATUS_CODES = (
    Status.PENDING,
    Status.ONLINE,
    Status.STALE,
    Status.RESTARTING,
    Status.OFFLINE,
    Status.LOCKED,
    Status.REFUSED,
)
SHARE_WORK = "share_work"
SHARE_SECONDS = "share_seconds"
PAIRED_HASHRATE = "paired_hashrate_ghs"
PAIRED_POWER = "paired_power_watts"
# What the hashrate is compared with: of a device, and summed over the devices in which both are known.
COMPARED_HASHRATE = "compared_hashrate_ghs"
COMPARED_EXPECTED = "compared_expected_hashrate_ghs"
DEVICES_MONITORED = "devices_monitored"
DEVICES_ONLINE = "devices_online"


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of one raw row, in order."""

    names: tuple[str, ...]
    kinds: tuple[Kind, ...]


def seconds_column(status: Status) -> str:
    """Return the column with the seconds that a device had this status."""
    return f"seconds_{status.value}"


GAUGES = tuple(measure.key for measure in MEASURES if measure.recorded is Recorded.GAUGE)
COUNTERS = tuple(measure.key for measure in MEASURES if measure.recorded is Recorded.COUNTER)
LASTS = tuple(measure.key for measure in MEASURES if measure.recorded is Recorded.LAST)
SUMMED_GAUGES = tuple(measure.key for measure in MEASURES if measure.summed and measure.recorded is Recorded.GAUGE)


# Per chip: the values that are recorded, besides the hashrates of its domains.
CHIP_HASHRATE, CHIP_TEMPERATURE, CHIP_ERRORS = "hashrate_ghs", "temperature_celsius", "errors"
MAX_CHIPS = 16
_CHIP_PREFIX = "chip"


@cache
def device_layout(chips: int) -> Layout:
    """Return the layout of a device with so many chips that report values of their own. Layouts with fewer chips are
    the beginning of it."""
    columns: list[tuple[str, Kind]] = [
        (STATUS, Kind.RAW),
        (ELAPSED, Kind.RAW),
        *((key, Kind.GAUGE) for key in GAUGES),
        *((key, Kind.LAST) for key in LASTS),
        *((key + TOTAL_SUFFIX, Kind.LAST) for key in COUNTERS),
        *((key + REST_SUFFIX, Kind.LAST) for key in COUNTERS),
        *((key, Kind.SUM) for key in COUNTERS),
        (SHARE_WORK, Kind.SUM),
        (SHARE_SECONDS, Kind.SUM),
        (COMPARED_EXPECTED, Kind.GAUGE),
    ]
    for number in range(1, chips + 1):
        columns += [
            (chip_column(number, CHIP_HASHRATE), Kind.GAUGE),
            (chip_column(number, CHIP_TEMPERATURE), Kind.GAUGE),
            (chip_column(number, CHIP_ERRORS), Kind.SUM),
        ]
    return Layout(tuple(name for name, _ in columns), tuple(kind for _, kind in columns))


def chip_column(number: int, what: str) -> str:
    """Return the column of one chip; chips count from 1."""
    return f"{_CHIP_PREFIX}{number}_{what}"


def is_recorded_each_minute(name: str) -> bool:
    """Return True if only one poll per minute records this column of a device: its values change rarely, or are of
    use only over a longer time, and each would take as much space as a gauge."""
    return name in LASTS or name.startswith(_CHIP_PREFIX)


# Sums over the devices that answer, each with the number of devices in it.
TOTALS_LAYOUT = Layout(
    (
        *SUMMED_GAUGES,
        *(key + DEVICES_SUFFIX for key in SUMMED_GAUGES),
        PAIRED_HASHRATE,
        PAIRED_POWER,
        COMPARED_HASHRATE,
        COMPARED_EXPECTED,
        DEVICES_MONITORED,
        DEVICES_ONLINE,
        *COUNTERS,
        SHARE_WORK,
    ),
    (
        *(Kind.GAUGE for _ in SUMMED_GAUGES),
        *(Kind.GAUGE for _ in SUMMED_GAUGES),
        *(Kind.GAUGE for _ in range(6)),
        *(Kind.SUM for _ in COUNTERS),
        Kind.SUM,
    ),
)
