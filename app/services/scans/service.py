"""Scans of the network in the background, with progress."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import gevent

from app.clock import Clock, format_iso
from app.errors import DiscoveryFailed, PlutoError, StoreError
from app.events import EventBus, ScanUpdated
from app.models import DiscoveredMiner
from app.services.devices.fleet import Fleet
from app.services.discovery.service import DiscoveryService
from app.services.scans.ignored import IgnoredMiner, IgnoredMiners
from app.services.scans.scan_state import ScanState, ScanStatus, classify_miners

log = logging.getLogger(__name__)

UPDATE_SECONDS = 0.25
NO_NETWORK = "This host is on no private network, so there is nothing to scan: set DISCOVERY_SUBNETS"
BROKEN = "Internal error; see the service's log"


@dataclass(slots=True)
class _Scan:
    """The scan that runs, or the last one. `addresses_before`: of the registered devices at its start, by MAC."""

    started_at: str
    addresses_before: dict[str, str]
    status: ScanStatus = ScanStatus.RUNNING
    finished_at: str | None = None
    probed: int = 0
    total: int = 0
    found: Sequence[DiscoveredMiner] = field(default_factory=tuple)
    error: str | None = None


class NetworkScans:
    """Owns the last scan, in memory. One runs at a time; it also serves the callers of GET /devices/discover."""

    def __init__(
        self, discovery: DiscoveryService, fleet: Fleet, ignored: IgnoredMiners, events: EventBus, clock: Clock
    ) -> None:
        self._discovery = discovery
        self._fleet = fleet
        self._ignored = ignored
        self._events = events
        self._clock = clock
        self._scan: _Scan | None = None
        self._greenlet: gevent.Greenlet | None = None

    def start_scan(self) -> ScanState:
        """Start a scan, or join the one that runs, and return its state."""
        if self._scan is None or self._scan.status is not ScanStatus.RUNNING:
            addresses = {tracked.mac: tracked.device.ip for tracked in self._fleet.all_devices()}
            self._scan = _Scan(format_iso(self._clock.now()), addresses)
            self._greenlet = gevent.spawn(self._run_scan, self._scan)
        return self.get_state()

    def get_state(self) -> ScanState:
        """Return the state, with what each found miner is now: one that was registered since is no longer new."""
        scan = self._scan
        if scan is None:
            return ScanState(ScanStatus.IDLE)
        found = classify_miners(scan.found, self._fleet.find_device, scan.addresses_before, self._ignored.list_macs())
        return ScanState(scan.status, scan.started_at, scan.finished_at, scan.probed, scan.total, found, scan.error)

    def ignore_miner(self, mac: str) -> IgnoredMiner:
        """Add a miner to the list of ignored ones. Raises Invalid."""
        return self._ignored.ignore_miner(mac, self._find_seen(mac))

    def _find_seen(self, mac: str) -> DiscoveredMiner | None:
        seen = [each for each in (self._scan.found if self._scan else ()) if each.mac == mac]
        with suppress(DiscoveryFailed):
            seen = seen or self._discovery.find_by_macs([mac])
        return seen[0] if seen else None

    def stop(self) -> None:
        """End the running scan. Idempotent."""
        if self._greenlet:
            self._greenlet.kill()

    def _run_scan(self, scan: _Scan) -> None:
        search = gevent.spawn(self._search_network, scan)
        try:
            search.join(UPDATE_SECONDS)
            while not search.ready():
                self._record_progress(scan)
                self._publish_state()
                search.join(UPDATE_SECONDS)
        finally:
            search.kill()
        self._finish_scan(scan)

    def _search_network(self, scan: _Scan) -> None:
        """Scan, and record the result or the error in `scan`."""
        try:
            if not self._discovery.has_targets():
                scan.error = NO_NETWORK
                return
            found = self._discovery.discover_miners()
            self._record_progress(scan)
            scan.found = found
        except PlutoError as error:
            scan.error = str(error)
        except Exception:
            log.exception("unhandled exception in a scan")
            scan.error = BROKEN

    def _record_progress(self, scan: _Scan) -> None:
        """Record how far the scan is. A queued scan has no progress, and neither has one by a discovery service."""
        progress = self._discovery.scan_progress()
        if progress is not None:
            scan.probed, scan.total, scan.found = progress.probed, progress.total, progress.found

    def _finish_scan(self, scan: _Scan) -> None:
        scan.status = ScanStatus.FAILED if scan.error else ScanStatus.DONE
        scan.finished_at = format_iso(self._clock.now())
        self._publish_state()

    def _publish_state(self) -> None:
        """Publish the state, unless the list of ignored miners cannot be read."""
        with suppress(StoreError):
            self._events.publish(ScanUpdated(self.get_state()))
