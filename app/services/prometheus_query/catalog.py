"""The metrics that the history can answer: their names and labels, and the columns that they are computed from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan

from app.miners.measures import MEASURES
from app.services.devices.fleet import Fleet, Tracked
from app.services.history.columns import CHIP_HASHRATE, CHIP_TEMPERATURE, COMPARED_EXPECTED, MAX_CHIPS, chip_column
from app.services.history.totals_recorder import FLEET
from app.services.metrics.families import OWN_NAMES
from app.services.metrics.legacy_names import LEGACY, LegacyNames
from app.services.metrics.text_format import clean_label_value
from app.services.prometheus_query.promql import NAME_LABEL, Matcher, Selector
from app.throttle import throttled

_PREFIX = "pluto_device_"

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Formula:
    """`compute` makes a value of one value of each column, NaN if absent; None: the value of the only column."""

    columns: tuple[str, ...]
    compute: Callable[..., float] | None = None


@dataclass(frozen=True, slots=True)
class SelectedSeries:
    """One series of a result. `source`: the name of the history's series, a MAC or FLEET."""

    labels: Labels
    source: str
    formula: Formula


def _divide(dividend: float, divisor: float) -> float:
    return dividend / divisor if divisor else nan


def _compute_total(total: float, online: float) -> float:
    """Return 0 while no device is online, as /metrics does; the history has no sum of nothing."""
    return 0.0 if online == 0 else total


def _compute_efficiency(power: float, hashrate: float) -> float:
    return _divide(power, hashrate / 1000)


# J/TH of these two routes, as the Node project's frontend expects of them; /metrics has GH/s per W under this name.
TOTAL_EFFICIENCY = "total_efficiency"
FLEET_EFFICIENCY = "pluto_fleet_efficiency_joules_per_terahash"
_ONLINE, _MONITORED = "devices_online", "devices_monitored"
_EFFICIENCY = Formula(("paired_power_watts", "paired_hashrate_ghs"), _compute_efficiency)
FLEET_METRICS: Mapping[str, Formula] = {
    "total_hardware": Formula((_MONITORED,)),
    "hardware_online": Formula((_ONLINE,)),
    "hardware_offline": Formula((_MONITORED, _ONLINE), lambda monitored, online: monitored - online),
    "total_hashrate": Formula(("hashrate_ghs", _ONLINE), _compute_total),
    "average_hashrate": Formula(("hashrate_ghs", _ONLINE), _divide),
    "total_power_watts": Formula(("power_watts", _ONLINE), _compute_total),
    TOTAL_EFFICIENCY: _EFFICIENCY,
    FLEET_EFFICIENCY: _EFFICIENCY,
}
_DEVICE_FORMULAS: Mapping[str, Formula] = {
    measure.key: Formula((measure.key,)) for measure in MEASURES if measure.recorded
}
DEVICE_METRICS: Mapping[str, Formula] = {
    **{f"{_PREFIX}{key}": formula for key, formula in _DEVICE_FORMULAS.items()},
    f"{_PREFIX}hashrate_percent": Formula(
        ("hashrate_ghs", COMPARED_EXPECTED), lambda hashrate, expected: 100 * _divide(hashrate, expected)
    ),
}
# Of each chip, with the label `asic`. The history keeps increases of the errors, not their total.
CHIP_METRICS: Mapping[str, str] = {
    f"{_PREFIX}asic_hashrate_ghs": CHIP_HASHRATE,
    f"{_PREFIX}asic_temperature_celsius": CHIP_TEMPERATURE,
}
_LEGACY_SUFFIXES: Mapping[str, Formula] = {
    f"_{measure.key}": _DEVICE_FORMULAS[measure.key] for measure in LEGACY if measure.recorded
}
_ANSWERED = FLEET_METRICS.keys() | DEVICE_METRICS.keys() | CHIP_METRICS.keys()
# Metrics of /metrics about which the history knows nothing.
_OTHER_NAMES = (OWN_NAMES | {"pluto_device_up", "pluto_device_drift", "pluto_device_pool_drift", "up"}) - _ANSWERED


class MetricCatalog:
    """Finds the series of a selector among the registered devices and the fleet's totals.

    `list_service_names` returns the names of the service's own metrics, which the history does not keep either.
    """

    def __init__(self, fleet: Fleet, list_service_names: Callable[[], Iterable[str]]) -> None:
        self._fleet = fleet
        self._list_service_names = list_service_names
        self._legacy = LegacyNames(OWN_NAMES)

    def select_series(self, selector: Selector) -> Iterator[SelectedSeries]:
        """Yield the series that the selector matches. Yields to the event loop too."""
        names = [matcher for matcher in selector.matchers if matcher.label == NAME_LABEL]
        others = [matcher for matcher in selector.matchers if matcher.label != NAME_LABEL]
        devices = self._fleet.all_devices()
        labelled = [(name, formula) for name, formula in DEVICE_METRICS.items() if _accept_all(names, name)]
        of_chips = [(name, what) for name, what in CHIP_METRICS.items() if _accept_all(names, name)]
        for tracked in throttled(devices if labelled or of_chips else ()):
            labels = identity_labels(tracked)
            if labelled and _accept_labels(others, labels):
                for name, formula in labelled:
                    yield SelectedSeries({NAME_LABEL: name, **labels}, tracked.mac, formula)
            for number in range(1, min(tracked.chip_count or MAX_CHIPS, MAX_CHIPS) + 1) if of_chips else ():
                of_chip = {**labels, "asic": str(number)}
                if _accept_labels(others, of_chip):
                    for name, what in of_chips:
                        formula = Formula((chip_column(number, what),))
                        yield SelectedSeries({NAME_LABEL: name, **of_chip}, tracked.mac, formula)
        if not _accept_labels(others, {}):
            return
        for name, formula in FLEET_METRICS.items():
            if _accept_all(names, name):
                yield SelectedSeries({NAME_LABEL: name}, FLEET, formula)
        prefixes = self._legacy.assign_prefixes(devices)
        for tracked in throttled(devices):
            for suffix, formula in _LEGACY_SUFFIXES.items():
                if _accept_all(names, name := prefixes[tracked.mac] + suffix):
                    yield SelectedSeries({NAME_LABEL: name}, tracked.mac, formula)

    def find_other_metric(self, selector: Selector) -> str | None:
        """Return the name of a metric that the selector means and that exists in /metrics only."""
        names = [matcher for matcher in selector.matchers if matcher.label == NAME_LABEL]
        if not names:
            return None
        known = sorted({*_OTHER_NAMES, *self._list_service_names()} - _ANSWERED)
        return next((name for name in throttled(known) if _accept_all(names, name)), None)


def identity_labels(tracked: Tracked) -> dict[str, str]:
    """Return the labels of a device's series as Prometheus scrapes them: it drops a label with an empty value."""
    labels = {"mac": tracked.mac, "hostname": tracked.hostname, "model": tracked.model}
    return {name: cleaned for name, value in labels.items() if (cleaned := clean_label_value(value))}


def _accept_all(matchers: Sequence[Matcher], value: str) -> bool:
    return all(matcher.accepts_value(value) for matcher in matchers)


def _accept_labels(matchers: Sequence[Matcher], labels: Labels) -> bool:
    return all(matcher.accepts_value(labels.get(matcher.label, "")) for matcher in matchers)
