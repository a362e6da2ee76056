"""The metric families of a scrape, from one snapshot of the fleet: its totals, and each device's rendered lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite

from app.miners.totals import sum_outputs
from app.miners.values import divide_finite
from app.models import Drift
from app.services.configuration.drift_rules import is_foreign_pool
from app.services.metrics.series import FAMILIES, Series
from app.services.metrics.text_format import format_family, format_header, format_labels, format_number

# The Node backend's names and units. `total_efficiency` is the inverse of a device's `efficiency`, which the help says.
OVERVIEW = {
    "total_hardware": "Devices that are monitored",
    "hardware_online": "Devices that answer, or missed too few polls to count as offline",
    "hardware_offline": "Monitored devices that do not answer",
    "total_hashrate": "Hashrate of the devices online in GH/s",
    "average_hashrate": "Hashrate per device online in GH/s",
    "total_power_watts": "Power of the devices online in W",
    "total_efficiency": "Hashrate per power in GH/s per W (more is better)",
    "pluto_fleet_efficiency_joules_per_terahash": "Power per hashrate in J/TH (less is better)",
}
BY_LABEL = {
    "firmware_version_distribution": ("version", "Devices online by firmware version"),
    "shares_by_pool_accepted": ("pool", "Shares accepted since the miners' start, by the pool now in use"),
    "shares_by_pool_rejected": ("pool", "Shares rejected since the miners' start, by the pool now in use"),
}
OWN_NAMES = frozenset({*OVERVIEW, *BY_LABEL, *(name for name, _, _ in FAMILIES)})


@dataclass(slots=True)
class Snapshot:
    """The monitored devices at the time of a scrape: the series of those that answer, the labels of the others, and
    the labels and drift of those with a desired state."""

    online: list[Series] = field(default_factory=list)
    offline: list[str] = field(default_factory=list)
    drifted: list[tuple[str, tuple[Drift, ...]]] = field(default_factory=list)


def fleet_families(snapshot: Snapshot) -> Iterator[Sequence[str]]:
    """Yield each family's header and rendered lines, so that the sender can yield to the event loop in between and
    copies them once."""
    yield [
        *_overview_families(snapshot.online, len(snapshot.offline)),
        _up_family(snapshot),
        *_drift_families(snapshot.drifted),
    ]
    columns = zip(*(series.lines for series in snapshot.online), strict=True)
    for (name, help_, kind), lines in zip(FAMILIES, columns, strict=False):  # no columns while no device answers
        if any(lines):
            yield [format_header(name, help_, kind)]
            yield lines


def legacy_families(snapshot: Snapshot) -> Iterator[Sequence[str]]:
    """Yield the Node backend's families, whose names contain the hostname, so that each device's stand together."""
    for series in snapshot.online:
        yield series.legacy


def _up_family(snapshot: Snapshot) -> str:
    lines = [f"pluto_device_up{series.labels} 1\n" for series in snapshot.online]
    lines += [f"pluto_device_up{suffix} 0\n" for suffix in snapshot.offline]
    return format_family(
        "pluto_device_up",
        "1 while the device answers, 0 when it is lost; one that is not monitored has no series",
        lines,
    )


def _overview_families(online: list[Series], lost: int) -> Iterator[str]:
    sums = sum_outputs(series.output for series in online)
    totals = {
        "total_hardware": len(online) + lost,
        "hardware_online": len(online),
        "hardware_offline": lost,
        "total_hashrate": sums.hashrate,
        "average_hashrate": divide_finite(sums.hashrate, len(online)),
        "total_power_watts": sums.power,
        "total_efficiency": divide_finite(sums.paired_hashrate, sums.paired_power),
        "pluto_fleet_efficiency_joules_per_terahash": divide_finite(sums.paired_power, sums.paired_hashrate / 1000),
    }
    for name, value in totals.items():
        if value is not None and isfinite(value):
            yield format_family(name, OVERVIEW[name], [f"{name} {format_number(value)}\n"])
    yield _family_by_label("firmware_version_distribution", ((series.about["version"], 1) for series in online))
    yield _family_by_label(
        "shares_by_pool_accepted", ((pool, accepted) for series in online for pool, accepted, _ in series.shares)
    )
    yield _family_by_label(
        "shares_by_pool_rejected", ((pool, rejected) for series in online for pool, _, rejected in series.shares)
    )


def _family_by_label(name: str, counts: Iterable[tuple[str, float | None]]) -> str:
    label_name, help_ = BY_LABEL[name]
    tally: defaultdict[str, float] = defaultdict(float)
    for value, count in counts:
        if value and count is not None:
            tally[value] += count
    return format_family(
        name,
        help_,
        (
            f"{name}{format_labels({label_name: value})} {format_number(total)}\n"
            for value, total in tally.items()
            if isfinite(total)
        ),
    )


def _drift_families(drifted: list[tuple[str, tuple[Drift, ...]]]) -> Iterator[str]:
    yield format_family(
        "pluto_device_drift",
        "Settings that differ from what was set from here",
        (f"pluto_device_drift{suffix} {len(drift)}\n" for suffix, drift in drifted),
    )
    yield format_family(
        "pluto_device_pool_drift",
        "Settings of pool and wallet that somebody else changed",
        (f"pluto_device_pool_drift{suffix} {sum(map(is_foreign_pool, drift))}\n" for suffix, drift in drifted),
    )
