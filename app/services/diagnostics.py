"""Collects what a bug report about one device needs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from app.clock import Clock, format_iso
from app.errors import StoreError
from app.services.configuration.journal import JournalEntry
from app.services.configuration.presets import Presets
from app.services.configuration.service import SettingsService
from app.services.devices.fleet import Fleet, Tracked
from app.services.event_log.kinds import LoggedEvent
from app.services.event_log.service import EventLog, EventQuery
from app.services.logs.log_filter import LogFilter
from app.services.logs.service import LogPage, LogService

log = logging.getLogger(__name__)

EVENTS, LOG_LINES, ENTRIES = 100, 200, 50


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """Everything about one device, not redacted. `events` is None if they cannot be read. `private_objects`: records
    whose private values must not be in the report; `macs`: those of all devices."""

    tracked: Tracked
    created_at: str
    entries: Sequence[JournalEntry]
    events: Sequence[LoggedEvent] | None
    log_page: LogPage
    private_objects: Sequence[object]
    macs: Sequence[str]


class DiagnosticsService:
    """Owns no state."""

    def __init__(
        self,
        fleet: Fleet,
        settings: SettingsService,
        event_log: EventLog,
        logs: LogService,
        presets: Presets,
        clock: Clock,
    ) -> None:
        self._fleet = fleet
        self._settings = settings
        self._event_log = event_log
        self._logs = logs
        self._presets = presets
        self._clock = clock

    def collect_report(self, mac: str) -> DeviceReport:
        """Collect the report; no log stream is opened. Raises DeviceNotFound."""
        tracked = self._fleet.get_device(mac)
        entries = self._settings.list_entries(tracked.mac)[:ENTRIES]
        return DeviceReport(
            tracked,
            format_iso(self._clock.now()),
            entries,
            self._list_events(tracked.mac),
            self._logs.read_page(tracked.mac, LogFilter(tail=LOG_LINES)),
            [tracked.info, tracked.device.info, entries, *(each.record for each in self._presets.all_presets())],
            [each.mac for each in self._fleet.all_devices()],
        )

    def _list_events(self, mac: str) -> Sequence[LoggedEvent] | None:
        try:
            return self._event_log.list_events(EventQuery(EVENTS, mac)).events
        except StoreError as error:
            log.warning("the events of a report cannot be read", extra={"mac": mac, "reason": str(error)})
            return None
