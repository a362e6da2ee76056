"""Stores discovered miners like the Node backend: `devices:discovered:<mac>` and the list key `devices:discovered`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gevent.lock import RLock

from app.errors import PlutoError
from app.miners.fields import known_fields
from app.miners.mac import canonical_mac
from app.models import Found
from app.store.database import Database
from app.store.layout import DISCOVERED
from app.throttle import throttled

log = logging.getLogger(__name__)

LIST_KEY = DISCOVERED
MAX_ENTRIES = 4096

Redact = Callable[[Mapping[str, Any]], dict[str, Any]]


def to_record(found: Found) -> dict[str, Any]:
    """Return the stored record. The Node backend reads first and last seen from `createdAt` and `updatedAt`."""
    first, last = found.first_seen, found.last_seen
    times = {"firstSeen": first, "lastSeen": last, "createdAt": first, "updatedAt": last}
    return {"ip": found.ip, "mac": found.mac, "type": found.type, "info": dict(found.info), **times}


def from_record(mac: str, record: Any, redact: Redact) -> Found | None:
    """Return the entry of a record, which the Node backend may have written; None without a MAC or address."""
    normal = canonical_mac(mac)
    if normal is None or not isinstance(record, dict) or not isinstance(record.get("ip"), str):
        return None
    texts = {key: value for key, value in record.items() if isinstance(value, str)}
    return Found(
        mac=normal,
        ip=texts["ip"],
        info=_clean(record.get("info"), redact),
        type=texts.get("type") or "unknown",
        first_seen=texts.get("firstSeen") or texts.get("createdAt", ""),
        last_seen=texts.get("lastSeen") or texts.get("updatedAt", ""),
    )


def _clean(info: Any, redact: Redact) -> dict[str, Any]:
    try:
        return redact(info) if isinstance(info, dict) else {}
    except PlutoError:
        return {}


class DiscoveredRepository:
    """Owns the discovered miners, one per MAC, in memory and on disk. `db` must be open when a method is called.

    A miner without a known MAC is not stored. An address belongs to the miner last seen there: older entries with the
    same address are deleted.
    """

    def __init__(self, db: Database, redact: Redact) -> None:
        self._db = db
        self._redact: Redact = lambda info: redact(known_fields(info))
        self._entries: dict[str, Found] = {}
        self._lock = RLock()

    def load(self) -> None:
        """Read all entries in the order of the list key, and migrate non-canonical MACs and stored secrets once."""
        with self._lock:
            stored = {key.removeprefix(f"{LIST_KEY}:"): None for key in self._db.list_keys(f"{LIST_KEY}:")}
            order = dict.fromkeys([*(mac for mac in _texts(self._db.get(LIST_KEY)) if mac in stored), *stored])
            latest: dict[str, Found] = {}
            as_stored: set[str] = set()
            for mac in throttled(order):  # one at a time: another version stored responses of 256 KiB
                record = self._db.get(f"{LIST_KEY}:{mac}")
                found = from_record(mac, record, self._redact)
                if found is None:
                    continue
                present = latest.get(str(found.mac))
                if present is None or found.last_seen >= present.last_seen:
                    latest[str(found.mac)] = found
                    as_stored.discard(str(found.mac))
                    if mac == found.mac and record == to_record(found):
                        as_stored.add(mac)
            self._entries = _newest(latest)
            self._migrate(order, latest, as_stored)

    @property
    def count(self) -> int:
        return len(self._entries)

    def all(self) -> list[Found]:
        return list(self._entries.values())

    def seen_since(self, since: datetime) -> list[Found]:
        """Return the entries last seen at or after `since`. One with an invalid time counts as never seen."""
        return [found for found in self._entries.values() if _moment(found.last_seen) >= since]

    def get(self, mac: str) -> Found | None:
        """Return the entry of a canonical MAC."""
        return self._entries.get(mac)

    def save(self, found: Iterable[Found]) -> list[Found]:
        """Store the miners of a scan in one batch. Return them with first seen and vendor from earlier scans."""
        with self._lock:
            merged = [self._merged(replace(each, info=known_fields(each.info))) for each in found]
            identified = {each.mac: each for each in merged if each.mac is not None}
            if identified:
                ips = {each.ip for each in identified.values()}
                deleted = {mac for mac, each in self._entries.items() if each.ip in ips and mac not in identified}
                left = {mac: each for mac, each in (self._entries | identified).items() if mac not in deleted}
                kept = _newest(left)
                deleted |= (self._entries.keys() | identified.keys()) - kept.keys()
                self._write(kept, {mac: each for mac, each in identified.items() if mac in kept}, deleted)
            return merged

    def forget(self, mac: str) -> None:
        """Delete the entry of a MAC, if there is one."""
        self._drop(lambda found: found.mac == mac)

    def expire(self, before: datetime) -> None:
        """Delete the entries last seen before `before`. One with an invalid time counts as never seen."""
        self._drop(lambda found: _moment(found.last_seen) < before)

    def _merged(self, found: Found) -> Found:
        before = self._entries.get(found.mac) if found.mac else None
        if before is None:
            return found
        known_type = before.type if found.type == "unknown" else found.type
        return replace(found, first_seen=before.first_seen or found.first_seen, type=known_type)

    def _drop(self, unwanted: Callable[[Found], bool]) -> None:
        with self._lock:
            deleted = {mac for mac, found in self._entries.items() if unwanted(found)}
            if deleted:
                self._write({mac: found for mac, found in self._entries.items() if mac not in deleted}, {}, deleted)

    def _migrate(self, stored: Iterable[str], readable: Collection[str], as_stored: Collection[str]) -> None:
        """Write the entries that differ from the disk. `as_stored`: MACs of those that do not."""
        moved = {mac for mac in stored if mac not in self._entries and canonical_mac(mac) in readable}
        changed = {mac: found for mac, found in self._entries.items() if mac not in as_stored}
        if moved or changed:
            self._write(self._entries, changed, moved)
            self._db.compact(f"{LIST_KEY}:")  # removes the secrets from LevelDB's files
            log.info("stored discovered miners were migrated", extra={"miners": len(changed)})

    def _write(self, entries: dict[str, Found], changed: Mapping[str, Found], deleted: Iterable[str]) -> None:
        puts = {f"{LIST_KEY}:{mac}": to_record(found) for mac, found in changed.items()}
        self._db.write({LIST_KEY: list(entries), **puts}, [f"{LIST_KEY}:{mac}" for mac in deleted])
        self._entries = entries


def _newest(entries: dict[str, Found]) -> dict[str, Found]:
    """Return at most MAX_ENTRIES, those last seen most recently, in their present order."""
    if len(entries) <= MAX_ENTRIES:
        return entries
    last = sorted(entries, key=lambda mac: entries[mac].last_seen)[-MAX_ENTRIES:]
    kept = set(last)
    return {mac: found for mac, found in entries.items() if mac in kept}


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
