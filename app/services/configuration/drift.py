"""Devices that do not run what they should: noticed at each poll, kept over restarts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from app.clock import iso, stored_moment
from app.errors import StoreError
from app.events import DeviceDeleted, DeviceObserved, DriftChanged, EventBus
from app.miners.setting_changes import WriteStatus
from app.miners.values import number
from app.models import Reading
from app.services.configuration.desired_state import Intent, Intents
from app.services.configuration.drift_rules import Cause, Drift, Written, drifted, is_foreign_pool
from app.services.configuration.journal import EntryOutcome, Journal, JournalEntry
from app.services.devices.fleet import Fleet, Tracked
from app.store.documents import Documents

_NOT_WRITTEN = frozenset({EntryOutcome.FAILED, EntryOutcome.REFUSED})
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Watched:
    """What is known of one device with an intent. `written` was made of the journal when its last entry was `entry`."""

    intent: Intent
    entry: int
    written: Mapping[str, Written]
    drift: tuple[Drift, ...] = ()


class DriftService:
    """Owns what is known of each device's drift. Costs a poll nothing where there is no intent, and one comparison per
    intended key where there is one."""

    def __init__(
        self,
        fleet: Fleet,
        intents: Intents,
        journal: Journal,
        documents: Documents,
        events: EventBus,
    ) -> None:
        self._fleet = fleet
        self._intents = intents
        self._journal = journal
        self._documents = documents
        self._events = events
        self._watched: dict[str, Watched] = {}

    def load(self) -> None:
        """What had drifted before the last stop is no news, and keeps its `since`. After the fleet and the intents."""
        self._watched = {}
        for mac, record in self._documents.all():
            if (tracked := self._fleet.find(mac)) is not None:
                intent, drift = self._intents.of(mac), _stored_drift(mac, record)
                self._watched[mac] = Watched(intent, self._journal.latest(mac), self._written(mac), drift)
                self._fleet.set_drift(tracked, drift)

    def of(self, tracked: Tracked) -> tuple[Drift, ...]:
        """Empty for a device that runs what it should, or of which nobody asked anything."""
        watched = self._watched.get(tracked.mac)
        return watched.drift if watched else ()

    def judge(self, tracked: Tracked) -> None:
        """Compares again by the last reading; nothing where there is none, or no intent."""
        if tracked.reading is not None and self._intents.of(tracked.mac).settings:
            self._compare(tracked, tracked.reading)
        elif tracked.mac in self._watched:
            self._forget(tracked.mac)
            self._fleet.set_drift(tracked, None)

    def _compare(self, tracked: Tracked, reading: Reading) -> None:
        watched = self._known(tracked.mac)
        found = drifted(watched.intent.settings, reading.info, watched.written, reading.moment)
        since = {(row.key, row.cause): row.since for row in watched.drift}
        rows = tuple(
            Drift(key, expected, actual, since.get((key, cause), iso(reading.at)), cause)
            for key, (expected, actual, cause) in found.items()
        )
        if rows != watched.drift:
            self._changed(tracked, watched, rows)
        elif tracked.drift is None:
            self._fleet.set_drift(tracked, rows)

    def _known(self, mac: str) -> Watched:
        """The journal is read again only after a write of ours."""
        intent, entry = self._intents.of(mac), self._journal.latest(mac)
        watched = self._watched.get(mac)
        if watched is None:
            watched = self._watched[mac] = Watched(intent, entry, self._written(mac))
        elif watched.intent is not intent or watched.entry != entry:
            watched.intent, watched.entry, watched.written = intent, entry, self._written(mac)
        return watched

    def _changed(self, tracked: Tracked, watched: Watched, rows: tuple[Drift, ...]) -> None:
        before = {(row.key, row.cause) for row in watched.drift}
        new = {row.key for row in rows if (row.key, row.cause) not in before}
        watched.drift = rows
        self._keep(tracked.mac, rows)
        self._fleet.set_drift(tracked, rows)
        _warn([row for row in rows if row.key in new], tracked)
        self._events.publish(DriftChanged(tracked, frozenset(new)))

    def _keep(self, mac: str, rows: tuple[Drift, ...]) -> None:
        """A poll goes on when the disk is full; drift that was not kept is news again after a restart."""
        with suppress(StoreError):
            if rows:
                self._documents.put(mac, {"drift": [asdict(row) for row in rows]})
            else:
                self._documents.delete(mac)

    def _written(self, mac: str) -> dict[str, Written]:
        written: dict[str, Written] = {}
        for entry in reversed(self._journal.of(mac)):
            written |= _written_by(entry)
        return written

    def on_device_observed(self, event: DeviceObserved) -> None:
        self.judge(event.tracked)

    def on_device_deleted(self, event: DeviceDeleted) -> None:
        self._watched.pop(event.mac, None)

    def _forget(self, mac: str) -> None:
        del self._watched[mac]
        self._keep(mac, ())


def _stored_drift(mac: str, record: Mapping[str, Any]) -> tuple[Drift, ...]:
    """Empty for a record that this version did not write: what drifted is news again then."""
    try:
        rows = tuple(Drift(**{**row, "cause": Cause(row["cause"])}) for row in record["drift"])
        if not all(isinstance(row.key, str) and isinstance(row.since, str) for row in rows):
            raise TypeError
        return rows
    except (KeyError, TypeError, ValueError):
        log.error("a device's stored drift cannot be read and is found anew", extra={"mac": mac})
        return ()


def _written_by(entry: JournalEntry) -> dict[str, Written]:
    if entry["outcome"] in _NOT_WRITTEN:
        return {}
    at, uptime = stored_moment(entry.get("at"), entry.get("tick")), number(entry.get("uptime"))
    waiting = {row["key"] for row in entry.get("changes") or () if row.get("status") == WriteStatus.PENDING_RESTART}
    return {key: Written(at, key in waiting, entry["before"].get(key), uptime) for key in entry.get("after") or ()}


def _warn(rows: list[Drift], tracked: Tracked) -> None:
    """Once when a pool changes: that is where the money goes."""
    keys = [row.key for row in rows if is_foreign_pool(row)]
    if keys:
        where = {"mac": tracked.mac, "ip": tracked.device.ip, "hostname": tracked.hostname}
        log.warning("the pool of a miner was changed by someone else", extra={**where, "keys": keys})
