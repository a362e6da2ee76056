"""What Prometheus reads: the fleet's totals, and each device's numbers in our form and in the original's.

Computed from the fleet's snapshot at the scrape; a scrape never touches a device. A device's lines are rendered once
per reading: when it arrives while somebody scrapes, so that a scrape only joins them; not at all while nobody does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any
from weakref import WeakKeyDictionary

import gevent
from prometheus_client import CollectorRegistry, generate_latest

from app.clock import Clock
from app.events import DeviceObserved, EventBus
from app.miners.dialects import model_of
from app.miners.telemetry import MEASURES, pool_in_use, ratio, telemetry
from app.models import Reading
from app.services.drift_rules import is_foreign_pool
from app.services.exposition import family, labels, number, plain
from app.services.fleet import Fleet, Tracked
from app.services.legacy_names import LegacyNames, legacy_block

RENDER_BATCH = 100
# Not 0: that lets only those run who are ready, and no answer of a miner or a disk is read.
YIELD_SECONDS = 0.001
# A Prometheus that was here within this time comes again.
SCRAPER_STAYS_SECONDS = 60.0

POOL_NAMES = {
    "mine.ocean.xyz:3334": "Ocean Main",
    "solo.ckpool.org:3333": "CKPool Main",
    "solo.ckpool.org:4334": "CKPool High Diff",
    "umbrel.local:2018": "Public Pool Local",
}

# The original's names, units and all. `total_efficiency` is the inverse of a device's `efficiency`: kept, and said.
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


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Series:
    """What one reading of one device exports. `lines` has one ready line per row of MEASURES, "" for what is absent."""

    reading: Reading
    values: dict[str, float]
    labels: str
    lines: tuple[str, ...]
    info_line: str
    version: str
    pool: str | None


class Metrics:
    """Owns the rendered lines of each device's last reading, and when somebody last scraped."""

    def __init__(
        self,
        fleet: Fleet,
        registry: CollectorRegistry,
        events: EventBus,
        clock: Clock,
        *,
        legacy: bool,
        also: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        """`also`: ready families of others, asked at each scrape."""
        self._fleet = fleet
        self._registry = registry
        self._also = also
        self._legacy = (
            LegacyNames({*OVERVIEW, *BY_LABEL, *(f"pluto_device_{m.key}" for m in MEASURES)}) if legacy else None
        )
        self._clock = clock
        self._scraped: float | None = None
        self._series: WeakKeyDictionary[Tracked, Series] = WeakKeyDictionary()
        self._blocks: WeakKeyDictionary[Series, tuple[str, str]] = WeakKeyDictionary()
        events.subscribe(DeviceObserved, lambda event: self._observed(event.tracked))

    def render(self) -> bytes:
        """The whole exposition, text format 0.0.4: one snapshot, for nothing else runs while it is put together."""
        self._scraped = self._clock.monotonic()
        self._render_ahead()
        monitored = self._fleet.monitored()
        online = [(tracked, self._current(tracked, reading)) for tracked, reading in _answering(monitored)]
        parts = [generate_latest(self._registry).decode(), *_overview(monitored, [series for _, series in online])]
        parts += [*_devices(monitored, online), *self._also()]
        if self._legacy:
            names = self._legacy.assign(self._fleet.all())
            parts += [self._block(series, names[tracked.mac]) for tracked, series in online]
        return "".join(parts).encode()

    def _render_ahead(self) -> None:
        """What changed since the last scrape, a few devices at a time, letting others run in between."""
        for at, (tracked, reading) in enumerate(_answering(self._fleet.monitored())):
            if at % RENDER_BATCH == RENDER_BATCH - 1:
                gevent.sleep(YIELD_SECONDS)
            self._current(tracked, reading)

    def _observed(self, tracked: Tracked) -> None:
        """In the poll's greenlet, about 0.1 ms: spread over the interval it delays nobody, at the scrape it would."""
        if self._scraped is None or self._clock.monotonic() - self._scraped > SCRAPER_STAYS_SECONDS:
            return
        if tracked.reading is not None:
            series = self._current(tracked, tracked.reading)
            if self._legacy and (prefix := self._legacy.known(tracked.mac)):
                self._block(series, prefix)

    def _block(self, series: Series, prefix: str) -> str:
        known, text = self._blocks.get(series, ("", ""))
        if known != prefix:
            text = legacy_block(prefix, series.values)
            self._blocks[series] = (prefix, text)
        return text

    def _current(self, tracked: Tracked, reading: Reading) -> Series:
        series = self._series.get(tracked)
        if series is None or series.reading is not reading:
            series = self._series[tracked] = _render(tracked, reading)
        return series


def _answering(devices: Iterable[Tracked]) -> Iterator[tuple[Tracked, Reading]]:
    """Those whose numbers count, asked one by one as they are reached."""
    for tracked in devices:
        if tracked.up and tracked.reading is not None:
            yield tracked, tracked.reading


def _identity(tracked: Tracked) -> dict[str, str]:
    return {"mac": tracked.mac, "hostname": tracked.hostname, "model": model_of(tracked.info)}


def _render(tracked: Tracked, reading: Reading) -> Series:
    info, identity = reading.info, _identity(tracked)
    values, suffix = telemetry(info), labels(identity)
    version = plain(str(info.get("version") or "")) or "unknown"
    about = {
        **identity,
        "ip": str(tracked.address),
        "version": version,
        "board": str(info.get("boardVersion") or ""),
        "asic": str(info.get("ASICModel") or ""),
        "pool": _pool(info) or "",
    }
    lines = tuple(
        f"pluto_device_{measure.key}{suffix} {number(values[measure.key])}\n" if measure.key in values else ""
        for measure in MEASURES
    )
    return Series(reading, values, suffix, lines, f"pluto_device_info{labels(about)} 1\n", version, _pool(info))


def _pool(info: Mapping[str, Any]) -> str | None:
    pool = pool_in_use(info)
    if pool is None:
        return None
    name = f"{pool[0]}:{pool[1]}"
    return plain(POOL_NAMES.get(name.lower(), name))


def _overview(monitored: list[Tracked], online: list[Series]) -> list[str]:
    hashrate = sum(series.values.get("hashrate_ghs", 0.0) for series in online)
    power = sum(series.values.get("power_watts", 0.0) for series in online)
    totals = {
        "total_hardware": float(len(monitored)),
        "hardware_online": float(len(online)),
        "hardware_offline": float(len(monitored) - len(online)),
        "total_hashrate": hashrate,
        "average_hashrate": ratio(hashrate, len(online)),
        "total_power_watts": power,
        "total_efficiency": ratio(hashrate, power),
        "pluto_fleet_efficiency_joules_per_terahash": ratio(power, hashrate / 1000),
    }
    tallies = {
        "firmware_version_distribution": Counter(series.version for series in online),
        "shares_by_pool_accepted": _by_pool(online, "shares_accepted"),
        "shares_by_pool_rejected": _by_pool(online, "shares_rejected"),
    }
    plain = [
        family(name, OVERVIEW[name], [f"{name} {number(value)}\n"])
        for name, value in totals.items()
        if value is not None and isfinite(value)
    ]
    return plain + [_by_label(name, tally) for name, tally in tallies.items()]


def _by_pool(online: Iterable[Series], key: str) -> Counter[str]:
    tally: Counter[str] = Counter()
    for series in online:
        if series.pool is not None and key in series.values:
            tally[series.pool] += int(series.values[key])
    return tally


def _by_label(name: str, tally: Counter[str]) -> str:
    label_name, help_ = BY_LABEL[name]
    return family(name, help_, (f"{name}{labels({label_name: value})} {count}\n" for value, count in tally.items()))


def _devices(monitored: Iterable[Tracked], online: list[tuple[Tracked, Series]]) -> Iterator[str]:
    yield family(
        "pluto_device_up",
        "1 while the device answers, 0 when it is lost; a device that is not monitored has no series",
        (f"pluto_device_up{labels(_identity(tracked))} {int(tracked.up)}\n" for tracked in monitored),
    )
    yield family("pluto_device_info", "What the device is; always 1", (series.info_line for _, series in online))
    yield family(
        "pluto_device_restarts_total",
        "Restarts of the miner seen since the service started",
        (f"pluto_device_restarts_total{series.labels} {tracked.restarts}\n" for tracked, series in online),
        kind="counter",
    )
    yield from _drift(monitored)
    for measure, lines in zip(MEASURES, zip(*(series.lines for _, series in online), strict=True), strict=False):
        yield family(f"pluto_device_{measure.key}", measure.help, lines)


def _drift(monitored: Iterable[Tracked]) -> Iterator[str]:
    """Only of devices on which something was set from here."""
    drifts = [(labels(_identity(tracked)), tracked.drift) for tracked in monitored if tracked.drift is not None]
    yield family(
        "pluto_device_drift",
        "Settings that differ from what was set from here",
        (f"pluto_device_drift{suffix} {len(drift)}\n" for suffix, drift in drifts),
    )
    yield family(
        "pluto_device_pool_drift",
        "Settings of pool and wallet that somebody else changed",
        (f"pluto_device_pool_drift{suffix} {sum(map(is_foreign_pool, drift))}\n" for suffix, drift in drifts),
    )
