"""Stores discovered miners like the Node backend: `devices:discovered:<mac>` and the list key `devices:discovered`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gevent.lock import RLock

from app.errors import PlutoError
from app.miners.known_fields import select_known_fields
from app.miners.mac import canonical_mac
from app.models import DiscoveredMiner
from app.store.database import Database
from app.store.key_layout import DISCOVERED
from app.throttle import throttled

log = logging.getLogger(__name__)

LIST_KEY = DISCOVERED
MAX_ENTRIES = 4096

Redact = Callable[[Mapping[str, Any]], dict[str, Any]]


def found_to_record(found: DiscoveredMiner) -> dict[str, Any]:
    """Return the stored record. The Node backend reads first and last seen from `createdAt` and `updatedAt`."""
    first, last = found.first_seen, found.last_seen
    times = {"firstSeen": first, "lastSeen": last, "createdAt": first, "updatedAt": last}
    return {"ip": found.ip, "mac": found.mac, "type": found.type, "info": dict(found.info), **times}


def found_from_record(mac: str, record: Any, redact: Redact) -> DiscoveredMiner | None:
    """Return the entry of a record, which the Node backend may have written; None without a MAC or address."""
    normal = canonical_mac(mac)
    if normal is None or not isinstance(record, dict) or not isinstance(record.get("ip"), str):
        return None
    texts = {key: value for key, value in record.items() if isinstance(value, str)}
    return DiscoveredMiner(
        mac=normal,
        ip=texts["ip"],
        info=_redact_info(record.get("info"), redact),
        type=texts.get("type") or "unknown",
        first_seen=texts.get("firstSeen") or texts.get("createdAt", ""),
        last_seen=texts.get("lastSeen") or texts.get("updatedAt", ""),
    )


def _redact_info(info: Any, redact: Redact) -> dict[str, Any]:
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
        self._redact: Redact = lambda info: redact(select_known_fields(info))
        self._entries: dict[str, DiscoveredMiner] = {}
        self._lock = RLock()

    def load_entries(self) -> None:
        """Read all entries in the order of the list key, and migrate non-canonical MACs and stored secrets once."""
        with self._lock:
            stored = {key.removeprefix(f"{LIST_KEY}:"): None for key in self._db.list_keys(f"{LIST_KEY}:")}
            order = dict.fromkeys(
                [*(mac for mac in _list_texts(self._db.read_value(LIST_KEY)) if mac in stored), *stored]
            )
            latest: dict[str, DiscoveredMiner] = {}
            as_stored: set[str] = set()
            for mac in throttled(order):  # one at a time: another version stored responses of 256 KiB
                record = self._db.read_value(f"{LIST_KEY}:{mac}")
                found = found_from_record(mac, record, self._redact)
                if found is None:
                    continue
                present = latest.get(str(found.mac))
                if present is None or found.last_seen >= present.last_seen:
                    latest[str(found.mac)] = found
                    as_stored.discard(str(found.mac))
                    if mac == found.mac and record == found_to_record(found):
                        as_stored.add(mac)
            self._entries = _keep_newest(latest)
            self._migrate_records(order, latest, as_stored)

    @property
    def entry_count(self) -> int:
        return len(self._entries)

    def list_entries(self) -> list[DiscoveredMiner]:
        return list(self._entries.values())

    def list_seen_since(self, since: datetime) -> list[DiscoveredMiner]:
        """Return the entries last seen at or after `since`. One with an invalid time counts as never seen."""
        return [found for found in self._entries.values() if _parse_time(found.last_seen) >= since]

    def get_entry(self, mac: str) -> DiscoveredMiner | None:
        """Return the entry of a canonical MAC."""
        return self._entries.get(mac)

    def save_found(self, found: Iterable[DiscoveredMiner]) -> list[DiscoveredMiner]:
        """Store the miners of a scan in one batch. Return them with first seen and vendor from earlier scans."""
        with self._lock:
            merged = [self._merge_known(replace(each, info=select_known_fields(each.info))) for each in found]
            identified = {each.mac: each for each in merged if each.mac is not None}
            if identified:
                ips = {each.ip for each in identified.values()}
                deleted = {mac for mac, each in self._entries.items() if each.ip in ips and mac not in identified}
                left = {mac: each for mac, each in (self._entries | identified).items() if mac not in deleted}
                kept = _keep_newest(left)
                deleted |= (self._entries.keys() | identified.keys()) - kept.keys()
                self._write_entries(kept, {mac: each for mac, each in identified.items() if mac in kept}, deleted)
            return merged

    def delete_entry(self, mac: str) -> None:
        """Delete the entry of a MAC, if there is one."""
        self._delete_matching(lambda found: found.mac == mac)

    def delete_expired(self, before: datetime) -> None:
        """Delete the entries last seen before `before`. One with an invalid time counts as never seen."""
        self._delete_matching(lambda found: _parse_time(found.last_seen) < before)

    def _merge_known(self, found: DiscoveredMiner) -> DiscoveredMiner:
        before = self._entries.get(found.mac) if found.mac else None
        if before is None:
            return found
        known_type = before.type if found.type == "unknown" else found.type
        return replace(found, first_seen=before.first_seen or found.first_seen, type=known_type)

    def _delete_matching(self, unwanted: Callable[[DiscoveredMiner], bool]) -> None:
        with self._lock:
            deleted = {mac for mac, found in self._entries.items() if unwanted(found)}
            if deleted:
                self._write_entries(
                    {mac: found for mac, found in self._entries.items() if mac not in deleted}, {}, deleted
                )

    def _migrate_records(self, stored: Iterable[str], readable: Collection[str], as_stored: Collection[str]) -> None:
        """Write the entries that differ from the disk. `as_stored`: MACs of those that do not."""
        moved = {mac for mac in stored if mac not in self._entries and canonical_mac(mac) in readable}
        changed = {mac: found for mac, found in self._entries.items() if mac not in as_stored}
        if moved or changed:
            self._write_entries(self._entries, changed, moved)
            self._db.compact_prefix(f"{LIST_KEY}:")  # removes the secrets from LevelDB's files
            log.info("stored discovered miners were migrated", extra={"miners": len(changed)})

    def _write_entries(
        self, entries: dict[str, DiscoveredMiner], changed: Mapping[str, DiscoveredMiner], deleted: Iterable[str]
    ) -> None:
        puts = {f"{LIST_KEY}:{mac}": found_to_record(found) for mac, found in changed.items()}
        self._db.write_batch({LIST_KEY: list(entries), **puts}, [f"{LIST_KEY}:{mac}" for mac in deleted])
        self._entries = entries


def _keep_newest(entries: dict[str, DiscoveredMiner]) -> dict[str, DiscoveredMiner]:
    """Return at most MAX_ENTRIES, those last seen most recently, in their present order."""
    if len(entries) <= MAX_ENTRIES:
        return entries
    last = sorted(entries, key=lambda mac: entries[mac].last_seen)[-MAX_ENTRIES:]
    kept = set(last)
    return {mac: found for mac, found in entries.items() if mac in kept}


def _list_texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _parse_time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
