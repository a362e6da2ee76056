"""Turns polls and the events of other services into events of the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.clock import Moment, format_iso, stored_moment
from app.events import (
    DeviceDeleted,
    DeviceEdited,
    DevicePolled,
    DriftChanged,
    JobUpdated,
    JournalEntryEnded,
)
from app.miners.device_facts import DeviceFacts, WatchedFields, fill_facts, read_facts, read_uptime, watch_fields
from app.miners.settings_diff import WriteStatus
from app.miners.uptime import has_rebooted, plausible_gap
from app.models import DOWN_STATUSES, Cause, Device, Observation, Reading, Status
from app.services.configuration.journal import EntryOutcome, JournalEntry
from app.services.devices.fleet import Fleet, Tracked
from app.services.event_log.detection import Detected, detect_changes
from app.services.event_log.kinds import EventKind
from app.services.event_log.service import EventLog
from app.services.jobs.model import OVER_STATES, JobState

MAX_VALUE_LENGTH = 200
_WRITTEN = frozenset({EntryOutcome.APPLIED, EntryOutcome.PENDING_RESTART, EntryOutcome.IN_DOUBT})
_WRITTEN_KEYS = frozenset({WriteStatus.APPLIED, WriteStatus.PENDING_RESTART})


class DeviceWatch:
    """What was last known of a device: `facts` of its answers, `uptime` of the last one that had it, `moment` of the
    last one. `fields` is None until the first answer of this process; facts are read only when they change."""

    __slots__ = ("facts", "fields", "is_down", "moment", "uptime")

    def __init__(
        self, facts: DeviceFacts | None = None, moment: Moment | None = None, *, is_down: bool = False
    ) -> None:
        self.facts = facts
        self.fields: WatchedFields | None = None
        self.is_down = is_down
        self.moment = moment
        self.uptime = facts.uptime if facts else None

    def set_time(self, moment: Moment, uptime: float | None) -> None:
        self.moment = moment
        if uptime is not None:
            self.uptime = uptime

    def add_facts(self, facts: DeviceFacts, moment: Moment) -> None:
        """Add the facts of an answer; those that it lacks keep their values."""
        self.facts = fill_facts(facts, self.facts) if self.facts else facts
        self.set_time(moment, facts.uptime)

    def current_facts(self) -> DeviceFacts | None:
        return replace(self.facts, uptime=self.uptime) if self.facts else None

    def seconds_until(self, moment: Moment) -> float | None:
        return self.moment.seconds_until(moment) if self.moment else None

    def build_state(self) -> dict[str, Any]:
        """Return the state as it is stored, in the batch of the events that led to it."""
        facts = self.current_facts()
        at = format_iso(self.moment.at) if self.moment and self.moment.at else None
        tick = self.moment.tick if self.moment else None
        return {"facts": facts, "at": at, "tick": tick, "down": self.is_down}


def parse_watch(state: Mapping[str, Any]) -> DeviceWatch | None:
    """Return the watch of a stored state; None for one that this version did not write."""
    try:
        stored = state["facts"]
        facts = None if stored is None else DeviceFacts(**stored)
        return DeviceWatch(
            facts, stored_moment(state["at"], state["tick"]) if facts else None, is_down=state["down"] is True
        )
    except (KeyError, TypeError):
        return None


class EventObserver:
    """Owns what was last known of each device. A poll without a change costs a comparison of a tuple."""

    def __init__(self, event_log: EventLog, fleet: Fleet) -> None:
        self._event_log = event_log
        self._fleet = fleet
        self._watches: dict[str, DeviceWatch] = {}

    def load_watches(self) -> None:
        """Load what was known before the last stop, so that the first answers are compared with it: the later of the
        state at the last event and the persisted record. Call it after the fleet is loaded."""
        states = self._event_log.load_states()
        self._watches = {}
        for tracked in self._fleet.all_devices():
            stored = parse_watch(states[tracked.mac]) if tracked.mac in states else None
            watch = _later_watch(stored, tracked.device)
            if watch is not None:
                self._watches[tracked.mac] = watch

    def on_device_polled(self, event: DevicePolled) -> None:
        tracked = event.tracked
        now = tracked.observation
        watch = self._watches.get(tracked.mac)
        if now.status is Status.ONLINE and now.reading is not None:
            reading = now.reading
            fields, uptime = watch_fields(reading.info), read_uptime(reading.info)
            if (
                watch is None
                or watch.is_down
                or fields != watch.fields
                or has_rebooted(watch.uptime, uptime, watch.seconds_until(reading.moment))
            ):
                watch = self._watches.setdefault(tracked.mac, DeviceWatch())
                watch.fields = fields
                self._process_reading(tracked, watch, reading)
            else:
                watch.set_time(reading.moment, uptime)
        elif now.status in DOWN_STATUSES and not (watch and watch.is_down):
            self._add_offline(tracked, self._watches.setdefault(tracked.mac, DeviceWatch()), now)

    def _process_reading(self, tracked: Tracked, watch: DeviceWatch, reading: Reading) -> None:
        elapsed, before, was_down = watch.seconds_until(reading.moment), watch.current_facts(), watch.is_down
        watch.add_facts(read_facts(reading.info), reading.moment)
        watch.is_down = False
        found = [Detected(EventKind.ONLINE, {"seconds": plausible_gap(elapsed)})] if was_down else []
        if before is not None and watch.facts is not None:
            found += detect_changes(before, watch.facts, elapsed)
        self._add_detected(tracked, watch, found)

    def _add_offline(self, tracked: Tracked, watch: DeviceWatch, now: Observation) -> None:
        seen = format_iso(watch.moment.at) if watch.moment and watch.moment.at else None
        watch.is_down = True
        details = {"status": str(now.status), "error": now.error, "lastSeen": seen}
        self._add_detected(tracked, watch, [Detected(EventKind.OFFLINE, details)])

    def _add_detected(self, tracked: Tracked, watch: DeviceWatch, found: list[Detected]) -> None:
        if found:
            self._event_log.add_events(found, tracked)
            self._event_log.set_state(tracked.mac, watch.build_state())

    def on_device_deleted(self, event: DeviceDeleted) -> None:
        self._watches.pop(event.mac, None)
        self._event_log.on_device_deleted(event)

    def on_device_edited(self, event: DeviceEdited) -> None:
        before, now = event.before, event.tracked.device
        if before.ip != now.ip:
            self._event_log.add_event(EventKind.ADDRESS_CHANGED, {"from": before.ip, "to": now.ip}, event.tracked)
        if before.name != now.name:
            details = {"field": "name", "from": before.name, "to": now.name}
            self._event_log.add_event(EventKind.RENAMED, details, event.tracked)

    def on_journal_entry_ended(self, event: JournalEntryEnded) -> None:
        entry = event.entry
        tracked = self._fleet.find_device(entry["mac"])
        keys = _written_keys(entry)
        if tracked is not None and keys and entry["outcome"] in _WRITTEN:
            details = {
                "actor": entry["actor"],
                "keys": keys,
                "entry": entry["id"],
                "job": entry["job"],
                "outcome": str(entry["outcome"]),
            }
            self._event_log.add_event(EventKind.SETTINGS_CHANGED, details, tracked)

    def on_drift_changed(self, event: DriftChanged) -> None:
        rows = [
            row for row in event.tracked.drift or () if row.key in event.new and row.cause is not Cause.PENDING_RESTART
        ]
        if rows:
            changes = [
                {
                    "key": row.key,
                    "expected": _shorten(row.expected),
                    "actual": _shorten(row.actual),
                    "cause": str(row.cause),
                }
                for row in rows
            ]
            details = {"keys": [row.key for row in rows], "changes": changes}
            self._event_log.add_event(EventKind.DRIFT, details, event.tracked)

    def on_job_updated(self, event: JobUpdated) -> None:
        if event.device is not None or event.state == event.before:
            return
        details = {"job": event.id, "action": event.action, "actor": event.actor}
        if event.state == JobState.RUNNING:
            self._event_log.add_event(EventKind.JOB_STARTED, {**details, "devices": sum(event.counts.values())})
        elif event.state in OVER_STATES:
            counts = {"state": event.state, "counts": dict(event.counts)}
            self._event_log.add_event(EventKind.JOB_FINISHED, {**details, **counts})


def _later_watch(stored: DeviceWatch | None, device: Device) -> DeviceWatch | None:
    """Return the state at the last event, with the facts of the record if that was read later."""
    seen = stored_moment(device.last_seen)
    if seen.at is None or not device.info:
        return stored
    if stored and stored.moment and stored.moment.at and stored.moment.at >= seen.at:
        return stored
    watch = stored or DeviceWatch()
    watch.add_facts(read_facts(device.info), seen)
    return watch


def _written_keys(entry: JournalEntry) -> list[str]:
    """Return the keys that the device accepted; all that were sent if it did not answer afterwards."""
    changes = entry.get("changes")
    if changes is None or entry["outcome"] == EntryOutcome.IN_DOUBT:
        return sorted(entry["after"])
    return sorted(row["key"] for row in changes if row["status"] in _WRITTEN_KEYS)


def _shorten(value: Any) -> Any:
    """Return a value of a setting, text in short: a certificate has kilobytes."""
    if isinstance(value, (bool, int, float)) or value is None:
        return value
    return str(value)[:MAX_VALUE_LENGTH]
