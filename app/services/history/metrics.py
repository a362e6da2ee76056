"""The metrics that a query can name: the columns that each one needs, and how its answer is computed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite

from app.miners.measures import MEASURES, Recorded
from app.services.history.columns import (
    CHIP_ERRORS,
    CHIP_HASHRATE,
    CHIP_TEMPERATURE,
    COMPARED_EXPECTED,
    COMPARED_HASHRATE,
    COUNTERS,
    DEVICES_MONITORED,
    DEVICES_ONLINE,
    DEVICES_SUFFIX,
    ELAPSED,
    MAX_CHIPS,
    MAX_SUFFIX,
    MIN_SUFFIX,
    PAIRED_HASHRATE,
    PAIRED_POWER,
    SHARE_SECONDS,
    SHARE_WORK,
    STATUS,
    STATUS_CODES,
    SUMMED_GAUGES,
    chip_column,
    seconds_column,
)
from app.services.history.frames import Frame, absent_column
from app.services.history.share_rate import SHORTEST_WINDOW_SECONDS, estimate_trailing_rates
from app.services.history.tiers import Grid

EFFICIENCY = "efficiency"
Values = list[float | None]
# Statistic ("mean", "min", "max", "sum", "last", a status, ..) → one value per span.
Statistics = dict[str, Values]


@dataclass(frozen=True, slots=True)
class Answered:
    """What a metric is computed from: `summary` has at most one sample per span of `grid`."""

    summary: Frame
    grid: Grid

    def align(self, name: str) -> Values:
        """Return one value per span, None where there is none."""
        values: Values = [None] * self.grid.count
        column = self.summary.columns.get(name)
        if column is not None:
            for time, value in zip(self.summary.times, column, strict=True):
                at = (time - self.grid.start) // self.grid.step
                if isfinite(value) and 0 <= at < self.grid.count:  # NaN is absent
                    values[at] = shorten(value)
        return values


Compute = Callable[[Answered], Statistics]


@dataclass(frozen=True, slots=True)
class Metric:
    """`needs`: the columns to read. `compute`: the statistics, by name. `lead_seconds`: the time before the answer that
    it needs, too."""

    name: str
    help: str
    needs: tuple[str, ...]
    compute: Compute
    lead_seconds: int = 0


def shorten(value: float) -> float:
    """Return a float32 without the digits that it does not have."""
    return float(f"{value:.9g}")


def _gauge(name: str, answered: Answered) -> Statistics:
    return {
        "mean": answered.align(name),
        "min": answered.align(name + MIN_SUFFIX),
        "max": answered.align(name + MAX_SUFFIX),
    }


def _single(statistic: str, name: str, answered: Answered) -> Statistics:
    return {statistic: answered.align(name)}


def _ratio(above: str, below: str, factor: float, answered: Answered) -> Statistics:
    pairs = zip(answered.align(above), answered.align(below), strict=True)
    return {"mean": [shorten(a / b * factor) if a is not None and b else None for a, b in pairs]}


def _reject_percent(answered: Answered) -> Statistics:
    pairs = zip(answered.align(COUNTERS[0]), answered.align(COUNTERS[1]), strict=True)
    return {
        "mean": [shorten(r / (a + r) * 100) if a is not None and r is not None and a + r else None for a, r in pairs]
    }


def _status_shares(answered: Answered) -> Statistics:
    """Return the share of each status in the observed time of a span."""
    seconds = {status.value: answered.align(seconds_column(status)) for status in STATUS_CODES}
    observed = [sum(value or 0.0 for value in values) for values in zip(*seconds.values(), strict=True)]
    return {
        status: [
            shorten((value or 0.0) / total) if total else None for value, total in zip(values, observed, strict=True)
        ]
        for status, values in seconds.items()
        if any(values)
    }


def _prove_hashrate(answered: Answered) -> Statistics:
    summary, grid = answered.summary, answered.grid
    accepted, work, seconds = (
        summary.columns.get(name) or absent_column(name, len(summary))
        for name in (COUNTERS[0], SHARE_WORK, SHARE_SECONDS)
    )
    rates = estimate_trailing_rates(summary.times, accepted, work, seconds, grid.start, grid.step, grid.count)
    return {
        "mean": [shorten(rate.estimate) if rate else None for rate in rates],
        "low": [shorten(rate.low) if rate else None for rate in rates],
        "high": [shorten(rate.high) if rate else None for rate in rates],
    }


def _device_metrics() -> dict[str, Metric]:
    by_key = {measure.key: measure for measure in MEASURES}
    computations: dict[Recorded, Callable[[str], Compute]] = {
        Recorded.GAUGE: lambda key: partial(_gauge, key),
        Recorded.COUNTER: lambda key: partial(_single, "sum", key),
        Recorded.LAST: lambda key: partial(_single, "last", key),
    }
    listed = [
        Metric(measure.key, measure.help, (measure.key,), computations[measure.recorded](measure.key))
        for measure in MEASURES
        if measure.recorded and measure.key != EFFICIENCY  # a mean of ratios would not be power per hashrate
    ]
    listed.append(
        Metric(
            EFFICIENCY,
            by_key[EFFICIENCY].help,
            (EFFICIENCY, "power_watts", "hashrate_ghs"),
            lambda answered: _gauge(EFFICIENCY, answered) | _ratio("power_watts", "hashrate_ghs", 1000.0, answered),
        )
    )
    listed += [
        Metric(
            "status",
            "Share of the observed time in each status",
            (STATUS, ELAPSED, *map(seconds_column, STATUS_CODES)),
            _status_shares,
        ),
        Metric(
            "hashrate_percent",
            "Hashrate in percent of the expected one",
            ("hashrate_ghs", COMPARED_EXPECTED),
            partial(_ratio, "hashrate_ghs", COMPARED_EXPECTED, 100.0),
        ),
        Metric("reject_percent", "Rejected shares in percent of all", COUNTERS, _reject_percent),
        Metric(
            "proven_hashrate_ghs",
            "Hashrate in GH/s that the accepted shares of an hour, or of a longer step, prove, with its 95 % interval",
            (COUNTERS[0], SHARE_WORK, SHARE_SECONDS),
            _prove_hashrate,
            int(SHORTEST_WINDOW_SECONDS),
        ),
    ]
    for number in range(1, MAX_CHIPS + 1):
        for what, help_, kind in (
            (CHIP_HASHRATE, "Hashrate of chip {} in GH/s", Recorded.GAUGE),
            (CHIP_TEMPERATURE, "Temperature of chip {} in degrees Celsius", Recorded.GAUGE),
            (CHIP_ERRORS, "Errors of chip {}", Recorded.COUNTER),
        ):
            name = chip_column(number, what)
            listed.append(Metric(name, help_.format(number), (name,), computations[kind](name)))
    return {metric.name: metric for metric in listed}


def _totals_metrics() -> dict[str, Metric]:
    by_key = {measure.key: measure for measure in MEASURES}
    listed = [
        *(
            Metric(key, f"{by_key[key].help}: sum of the devices", (key,), partial(_gauge, key))
            for key in SUMMED_GAUGES
        ),
        *(
            Metric(
                key + DEVICES_SUFFIX,
                f"Devices in the sum of {key}",
                (key + DEVICES_SUFFIX,),
                partial(_gauge, key + DEVICES_SUFFIX),
            )
            for key in SUMMED_GAUGES
        ),
        Metric(
            EFFICIENCY,
            "Efficiency in J/TH",
            (PAIRED_HASHRATE, PAIRED_POWER),
            partial(_ratio, PAIRED_POWER, PAIRED_HASHRATE, 1000.0),
        ),
        Metric(
            "hashrate_percent",
            "Hashrate in percent of the expected one, of the devices with both",
            (COMPARED_HASHRATE, COMPARED_EXPECTED),
            partial(_ratio, COMPARED_HASHRATE, COMPARED_EXPECTED, 100.0),
        ),
        Metric(
            DEVICES_MONITORED, "Devices that are monitored", (DEVICES_MONITORED,), partial(_gauge, DEVICES_MONITORED)
        ),
        Metric(DEVICES_ONLINE, "Devices that answer", (DEVICES_ONLINE,), partial(_gauge, DEVICES_ONLINE)),
        *(
            Metric(key, f"{by_key[key].help}: sum of the devices", (key,), partial(_single, "sum", key))
            for key in COUNTERS
        ),
        Metric("reject_percent", "Rejected shares in percent of all", COUNTERS, _reject_percent),
    ]
    return {metric.name: metric for metric in listed}


DEVICE_METRICS: Mapping[str, Metric] = _device_metrics()
TOTALS_METRICS: Mapping[str, Metric] = _totals_metrics()
DEFAULT_METRICS = ("hashrate_ghs", "power_watts")


def list_names(metrics: Mapping[str, Metric]) -> list[str]:
    """Return the names for a user, those of the chips in short."""
    named = sorted(name for name in metrics if not name.startswith("chip"))
    chips = [f"{name}, up to chip{MAX_CHIPS}" for name in metrics if name.startswith(chip_column(1, ""))]
    return [*named, *chips]


def list_needs(metrics: Sequence[Metric]) -> set[str]:
    return {name for metric in metrics for name in metric.needs}
