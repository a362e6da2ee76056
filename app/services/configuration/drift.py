"""Drift: devices whose settings differ from their desired state. It is checked at each poll and survives a restart."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from app.clock import format_iso, stored_moment
from app.errors import StoreError
from app.events import DeviceDeleted, DeviceObserved, DriftChanged, EventBus
from app.miners.settings_diff import WriteStatus
from app.miners.values import parse_number
from app.models import Cause, Drift, Reading
from app.services.configuration.desired_state import DesiredState, DesiredStates
from app.services.configuration.drift_rules import LastWrite, find_drift, is_foreign_pool
from app.services.configuration.journal import EntryOutcome, Journal, JournalEntry
from app.services.devices.fleet import Fleet, Tracked
from app.store.documents import Documents

_NOT_WRITTEN = frozenset({EntryOutcome.FAILED, EntryOutcome.REFUSED})
log = logging.getLogger(__name__)


@dataclass(slots=True)
class DriftComparison:
    """The comparison of one device with its desired state. `written` was read from the journal when its last entry
    was `entry`."""

    desired_state: DesiredState
    entry: int
    written: Mapping[str, LastWrite]
    drift: tuple[Drift, ...] = ()


class DriftService:
    """Owns the drift of each device. A poll costs nothing extra without a desired state, and one comparison per
    desired key with one."""

    def __init__(
        self,
        fleet: Fleet,
        desired_states: DesiredStates,
        journal: Journal,
        documents: Documents,
        events: EventBus,
    ) -> None:
        self._fleet = fleet
        self._desired_states = desired_states
        self._journal = journal
        self._documents = documents
        self._events = events
        self._comparisons: dict[str, DriftComparison] = {}

    def load_drift(self) -> None:
        """Load the drift found before the last stop, which keeps its `since`. Call it after the fleet and the
        desired states are loaded."""
        self._comparisons = {}
        for mac, record in self._documents.list_documents():
            if (tracked := self._fleet.find_device(mac)) is not None:
                desired_state, drift = self._desired_states.get_state(mac), _stored_drift(mac, record)
                self._comparisons[mac] = DriftComparison(
                    desired_state, self._journal.latest_number(mac), self._writes_from_journal(mac), drift
                )
                self._fleet.set_drift(tracked, drift)

    def drift_of(self, tracked: Tracked) -> tuple[Drift, ...]:
        """Return the drift; empty without drift or without a desired state."""
        watched = self._comparisons.get(tracked.mac)
        return watched.drift if watched else ()

    def compare_device(self, tracked: Tracked) -> None:
        """Compare the last reading with the desired state; without either, do nothing."""
        if tracked.reading is not None and self._desired_states.get_state(tracked.mac).settings:
            self._compare_reading(tracked, tracked.reading)
        elif tracked.mac in self._comparisons:
            self._drop_comparison(tracked.mac)
            self._fleet.set_drift(tracked, None)

    def _compare_reading(self, tracked: Tracked, reading: Reading) -> None:
        watched = self._current_comparison(tracked.mac)
        found = find_drift(watched.desired_state.settings, reading.info, watched.written, reading.moment)
        since = {(row.key, row.cause): row.since for row in watched.drift}
        rows = tuple(
            Drift(key, expected, actual, since.get((key, cause), format_iso(reading.at)), cause)
            for key, (expected, actual, cause) in found.items()
        )
        if rows != watched.drift:
            self._publish_change(tracked, watched, rows)
        elif tracked.drift is None:
            self._fleet.set_drift(tracked, rows)

    def _current_comparison(self, mac: str) -> DriftComparison:
        """Return the comparison; the journal is read again only after a new entry."""
        desired_state, entry = self._desired_states.get_state(mac), self._journal.latest_number(mac)
        watched = self._comparisons.get(mac)
        if watched is None:
            watched = self._comparisons[mac] = DriftComparison(desired_state, entry, self._writes_from_journal(mac))
        elif watched.desired_state is not desired_state or watched.entry != entry:
            watched.desired_state, watched.entry, watched.written = desired_state, entry, self._writes_from_journal(mac)
        return watched

    def _publish_change(self, tracked: Tracked, watched: DriftComparison, rows: tuple[Drift, ...]) -> None:
        before = {(row.key, row.cause) for row in watched.drift}
        new = {row.key for row in rows if (row.key, row.cause) not in before}
        watched.drift = rows
        self._save_drift(tracked.mac, rows)
        self._fleet.set_drift(tracked, rows)
        _warn_about_pools([row for row in rows if row.key in new], tracked)
        self._events.publish(DriftChanged(tracked, frozenset(new)))

    def _save_drift(self, mac: str, rows: tuple[Drift, ...]) -> None:
        """Store the drift. A poll goes on if the disk is full; drift that was not stored is reported again after a
        restart."""
        with suppress(StoreError):
            if rows:
                self._documents.save_document(mac, {"drift": [asdict(row) for row in rows]})
            else:
                self._documents.delete_documents(mac)

    def _writes_from_journal(self, mac: str) -> dict[str, LastWrite]:
        written: dict[str, LastWrite] = {}
        for entry in reversed(self._journal.entries_of(mac)):
            written |= _writes_of_entry(entry)
        return written

    def on_device_observed(self, event: DeviceObserved) -> None:
        self.compare_device(event.tracked)

    def on_device_deleted(self, event: DeviceDeleted) -> None:
        self._comparisons.pop(event.mac, None)

    def _drop_comparison(self, mac: str) -> None:
        del self._comparisons[mac]
        self._save_drift(mac, ())


def _stored_drift(mac: str, record: Mapping[str, Any]) -> tuple[Drift, ...]:
    """Return () for a record that this version did not write: its drift is then reported again."""
    try:
        rows = tuple(Drift(**{**row, "cause": Cause(row["cause"])}) for row in record["drift"])
        if not all(isinstance(row.key, str) and isinstance(row.since, str) for row in rows):
            raise TypeError
        return rows
    except (KeyError, TypeError, ValueError):
        log.error("a device's stored drift cannot be read and is found anew", extra={"mac": mac})
        return ()


def _writes_of_entry(entry: JournalEntry) -> dict[str, LastWrite]:
    if entry["outcome"] in _NOT_WRITTEN:
        return {}
    at, uptime = stored_moment(entry.get("at"), entry.get("tick")), parse_number(entry.get("uptime"))
    waiting = {row["key"] for row in entry.get("changes") or () if row.get("status") == WriteStatus.PENDING_RESTART}
    return {key: LastWrite(at, key in waiting, entry["before"].get(key), uptime) for key in entry.get("after") or ()}


def _warn_about_pools(rows: list[Drift], tracked: Tracked) -> None:
    """Log a warning when a pool changes: the miner works for another wallet."""
    keys = [row.key for row in rows if is_foreign_pool(row)]
    if keys:
        where = {"mac": tracked.mac, "ip": tracked.device.ip, "hostname": tracked.hostname}
        log.warning("pool of a miner was changed elsewhere", extra={**where, "keys": keys})
