"""The Prometheus exporter: metrics of the service, totals of the fleet, and each device's metrics under our and the
Node backend's names.

A scrape never contacts a device. A device's lines are rendered once per reading, when it arrives and a scraper is
active, so that a scrape only joins them; without a scraper nothing is rendered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, generate_latest

from app.clock import Clock
from app.events import DeviceObserved
from app.models import Reading
from app.services.devices.fleet import Fleet, Tracked
from app.services.devices.telemetry_reader import Telemetry
from app.services.metrics.families import OWN_NAMES, Snapshot, fleet_families, legacy_families
from app.services.metrics.legacy_names import LegacyNames
from app.services.metrics.series import Series, identity_labels, render_series
from app.throttle import throttled

# Lines per chunk, half a megabyte. Small chunks reuse memory; one of 6 MB takes new pages from the system, and 12 ms
# instead of 2.
LINES_AT_ONCE = 5000
# A scraper that was active within this time counts as active.
SCRAPER_STAYS_SECONDS = 60.0


class MetricsExporter:
    """Owns the rendered lines of each device's last reading, and the time of the last scrape."""

    def __init__(
        self,
        fleet: Fleet,
        read_telemetry: Callable[[Tracked], Telemetry],
        registry: CollectorRegistry,
        clock: Clock,
        *,
        legacy: bool,
        also: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        """`also`: called at each scrape for further rendered families."""
        self._fleet = fleet
        self._read_telemetry = read_telemetry
        self._registry = registry
        self._also = also
        self._legacy = LegacyNames(OWN_NAMES) if legacy else None
        self._clock = clock
        self._scraped: float | None = None
        self._series: WeakKeyDictionary[Tracked, Series] = WeakKeyDictionary()

    def render_metrics(self) -> Iterator[bytes]:
        """Return the exposition in the text format 0.0.4, in chunks. It shows the moment of this call: other
        greenlets run while the chunks are joined, but their content is fixed."""
        self._scraped = self._clock.monotonic()
        if self._legacy:
            self._legacy.assign_prefixes(self._fleet.all_devices())
        self._render_changed()
        own = [generate_latest(self._registry).decode(), *self._also()]
        return _encode_chunks(own, self._take_snapshot())

    def _render_changed(self) -> None:
        """Render what changed since the last scrape, yielding to the event loop in between."""
        for tracked in throttled(self._find_unrendered()):
            if tracked.reading is not None:
                self._render_series(tracked, tracked.reading)

    def _find_unrendered(self) -> Iterator[Tracked]:
        for tracked in self._fleet.monitored_devices():
            if (
                tracked.is_up
                and (reading := tracked.reading) is not None
                and self._current_series(tracked, reading) is None
            ):
                yield tracked

    def _take_snapshot(self) -> Snapshot:
        """Take a consistent snapshot: this does not yield to the event loop."""
        snapshot = Snapshot()
        for tracked in self._fleet.monitored_devices():
            if tracked.is_up and (reading := tracked.reading) is not None:
                snapshot.online.append(self._current_series(tracked, reading) or self._render_series(tracked, reading))
                if tracked.drift is not None:
                    snapshot.drifted.append((identity_labels(tracked), tracked.drift))
            else:
                snapshot.offline.append(identity_labels(tracked))
        return snapshot

    def on_device_observed(self, event: DeviceObserved) -> None:
        """Render the device's lines ahead of the next scrape: about 50 µs in the poll's greenlet."""
        tracked = event.tracked
        if self._scraped is None or self._clock.monotonic() - self._scraped > SCRAPER_STAYS_SECONDS:
            return
        if tracked.reading is not None:
            self._render_series(tracked, tracked.reading)

    def _current_series(self, tracked: Tracked, reading: Reading) -> Series | None:
        """Return the rendered lines if they are of this reading and under the device's present name."""
        series = self._series.get(tracked)
        prefix = self._legacy.known_prefix(tracked.mac) if self._legacy else None
        return series if series and series.reading is reading and series.prefix == prefix else None

    def _render_series(self, tracked: Tracked, reading: Reading) -> Series:
        prefix = self._legacy.known_prefix(tracked.mac) if self._legacy else None
        telemetry = self._read_telemetry(tracked)
        series = self._series[tracked] = render_series(tracked, reading, telemetry, prefix, self._series.get(tracked))
        return series


def _encode_chunks(own: Iterable[str], snapshot: Snapshot) -> Iterator[bytes]:
    return throttled(
        chain(_join_lines([list(own)]), _join_lines(fleet_families(snapshot)), _join_lines(legacy_families(snapshot)))
    )


def _join_lines(groups: Iterable[Sequence[str]]) -> Iterator[bytes]:
    pending: list[str] = []
    for group in groups:
        pending += group
        if len(pending) >= LINES_AT_ONCE:
            yield "".join(pending).encode()
            pending = []
    yield "".join(pending).encode()
