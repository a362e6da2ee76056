"""The original's metric names: the sanitised hostname in front of each suffix. Kept for dashboards in the field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from operator import itemgetter

from app.miners.measures import MEASURES
from app.services.devices.fleet import Tracked
from app.services.metrics.text_format import header, legacy_name, number

LEGACY = tuple(measure for measure in MEASURES if measure.legacy)


class LegacyNames:
    """Owns who has which prefix. The oldest device keeps the plain one, whether it is online or not, so that a series
    never changes hands."""

    def __init__(self, reserved: Iterable[str]) -> None:
        self._reserved = frozenset(reserved)
        self._hostnames: list[tuple[str, str, str]] = []
        self._assigned: dict[str, str] = {}

    def assign(self, devices: Iterable[Tracked]) -> Mapping[str, str]:
        """MAC → prefix, for all of `devices`; worked out anew only when a hostname or the set of devices changed."""
        hostnames = [(tracked.device.created_at, tracked.mac, tracked.hostname) for tracked in devices]
        if hostnames != self._hostnames:
            self._hostnames, self._assigned = hostnames, _assign(sorted(hostnames, key=itemgetter(0)), self._reserved)
        return self._assigned

    def known(self, mac: str) -> str | None:
        """The prefix since the last `assign`."""
        return self._assigned.get(mac)


def _assign(oldest: Iterable[tuple[str, str, str]], reserved: frozenset[str]) -> dict[str, str]:
    """Whole names are compared: `a_core` + `voltage_volts` is `a` + `core_voltage_volts`, and `total` + `efficiency` is
    the fleet's."""
    taken = set(reserved)
    assigned = {}
    for _, mac, hostname in oldest:
        prefix = next(
            each for each in _candidates(legacy_name(hostname), mac.replace(":", "")) if taken.isdisjoint(_names(each))
        )
        taken |= _names(prefix)
        assigned[mac] = prefix
    return assigned


def _candidates(plain: str, digits: str) -> Iterator[str]:
    """The plain name, with the last four of the MAC, with all of it; and so on, since hostnames are chosen by
    others."""
    yield from (plain, f"{plain}_{digits[-4:]}")
    yield from (f"{plain}_{digits}{'_' * more}" for more in count())


def _names(prefix: str) -> set[str]:
    return {f"{prefix}_{measure.key}" for measure in LEGACY}


def legacy_lines(prefix: str, values: Mapping[str, float]) -> tuple[str, ...]:
    """The original's 14 families for one device, without those whose value is absent."""
    return tuple(
        f"{header(name := f'{prefix}_{measure.key}', measure.help)}{name} {number(values[measure.key])}\n"
        for measure in LEGACY
        if measure.key in values
    )
