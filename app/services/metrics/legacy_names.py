"""The Node backend's metric names: the sanitised hostname before each suffix. Kept for existing dashboards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from operator import itemgetter

from app.miners.measures import MEASURES
from app.services.devices.fleet import Tracked
from app.services.metrics.text_format import format_header, format_number, legacy_prefix

LEGACY = tuple(measure for measure in MEASURES if measure.legacy)


class LegacyNames:
    """Owns the assignment of prefixes. The oldest device has the plain one, online or not, so that a series never
    changes its device."""

    def __init__(self, reserved: Iterable[str]) -> None:
        self._reserved = frozenset(reserved)
        self._hostnames: list[tuple[str, str, str]] = []
        self._assigned: dict[str, str] = {}

    def assign_prefixes(self, devices: Iterable[Tracked]) -> Mapping[str, str]:
        """Return MAC → prefix for all `devices`; recomputed only when a hostname or the set of devices changed."""
        hostnames = [(tracked.device.created_at, tracked.mac, tracked.hostname) for tracked in devices]
        if hostnames != self._hostnames:
            self._hostnames, self._assigned = (
                hostnames,
                _assign_prefixes(sorted(hostnames, key=itemgetter(0)), self._reserved),
            )
        return self._assigned

    def known_prefix(self, mac: str) -> str | None:
        """Return the prefix of the last `assign_prefixes`."""
        return self._assigned.get(mac)


def _assign_prefixes(oldest: Iterable[tuple[str, str, str]], reserved: frozenset[str]) -> dict[str, str]:
    """Compare whole names: `a_core` + `voltage_volts` is `a` + `core_voltage_volts`, and `total` + `efficiency` is
    the fleet's."""
    taken = set(reserved)
    assigned = {}
    for _, mac, hostname in oldest:
        prefix = next(
            each
            for each in _candidate_prefixes(legacy_prefix(hostname), mac.replace(":", ""))
            if taken.isdisjoint(_metric_names(each))
        )
        taken |= _metric_names(prefix)
        assigned[mac] = prefix
    return assigned


def _candidate_prefixes(plain: str, digits: str) -> Iterator[str]:
    """Yield the plain name, then with the last four digits of the MAC, then with all of them; and so on, since
    hostnames are chosen by users."""
    yield from (plain, f"{plain}_{digits[-4:]}")
    yield from (f"{plain}_{digits}{'_' * more}" for more in count())


def _metric_names(prefix: str) -> set[str]:
    return {f"{prefix}_{measure.key}" for measure in LEGACY}


def legacy_lines(prefix: str, values: Mapping[str, float]) -> tuple[str, ...]:
    """Return the Node backend's families of one device, without absent values."""
    return tuple(
        f"{format_header(name := f'{prefix}_{measure.key}', measure.help)}{name} {format_number(values[measure.key])}\n"
        for measure in LEGACY
        if measure.key in values
    )
