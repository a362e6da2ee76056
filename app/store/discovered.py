"""What discovery has seen, on disk as the original's service keeps it: `devices:discovered:<mac>` and the list key."""

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
    """`createdAt` and `updatedAt` are what the original knows of first and last seen."""
    first, last = found.first_seen, found.last_seen
    times = {"firstSeen": first, "lastSeen": last, "createdAt": first, "updatedAt": last}
    return {"ip": found.ip, "mac": found.mac, "type": found.type, "info": dict(found.info), **times}


def from_record(mac: str, record: Any, redact: Redact) -> Found | None:
    """The entry of a stored record, whoever wrote it; None when it has no MAC or address."""
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
    """Owns the remembered miners, one per MAC, in memory and on disk, which change together. `db` is open by then.

    A miner whose MAC nobody knows is not kept. An address is the last miner's that was seen there: an older entry goes.
    """

    def __init__(self, db: Database, redact: Redact) -> None:
        self._db = db
        self._redact: Redact = lambda info: redact(known_fields(info))
        self._entries: dict[str, Found] = {}
        self._lock = RLock()

    def load(self) -> None:
        """Reads everything, in the list key's order. Once, upper-case MACs get the normal spelling and secrets go."""
        with self._lock:
            stored = {key.removeprefix(f"{LIST_KEY}:"): None for key in self._db.keys(f"{LIST_KEY}:")}
            order = dict.fromkeys([*(mac for mac in _texts(self._db.get(LIST_KEY)) if mac in stored), *stored])
            latest: dict[str, Found] = {}
            as_stored: set[str] = set()
            for mac in throttled(order):  # one at a time: another version stored answers of 256 KiB
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
        """Return the entries last seen at that moment or later; one without a readable time counts as never seen."""
        return [found for found in self._entries.values() if _moment(found.last_seen) >= since]

    def get(self, mac: str) -> Found | None:
        """The entry of a normalised MAC."""
        return self._entries.get(mac)

    def save(self, found: Iterable[Found]) -> list[Found]:
        """Remembers what a scan met, in one batch; returns it with what was known before: first seen, vendor."""
        with self._lock:
            merged = [self._merged(replace(each, info=known_fields(each.info))) for each in found]
            named = {each.mac: each for each in merged if each.mac is not None}
            if named:
                taken = {each.ip for each in named.values()}
                gone = {mac for mac, each in self._entries.items() if each.ip in taken and mac not in named}
                left = {mac: each for mac, each in (self._entries | named).items() if mac not in gone}
                kept = _newest(left)
                gone |= (self._entries.keys() | named.keys()) - kept.keys()
                self._write(kept, {mac: each for mac, each in named.items() if mac in kept}, gone)
            return merged

    def forget(self, mac: str) -> None:
        """Does nothing for a MAC that is not remembered."""
        self._drop(lambda found: found.mac == mac)

    def expire(self, before: datetime) -> None:
        """Forgets what was not seen since `before`; an entry without a readable time counts as never seen."""
        self._drop(lambda found: _moment(found.last_seen) < before)

    def _merged(self, found: Found) -> Found:
        before = self._entries.get(found.mac) if found.mac else None
        if before is None:
            return found
        known_type = before.type if found.type == "unknown" else found.type
        return replace(found, first_seen=before.first_seen or found.first_seen, type=known_type)

    def _drop(self, unwanted: Callable[[Found], bool]) -> None:
        with self._lock:
            gone = {mac for mac, found in self._entries.items() if unwanted(found)}
            if gone:
                self._write({mac: found for mac, found in self._entries.items() if mac not in gone}, {}, gone)

    def _migrate(self, stored: Iterable[str], readable: Collection[str], as_stored: Collection[str]) -> None:
        """`as_stored`: those that are on disk in their normal form already."""
        moved = {mac for mac in stored if mac not in self._entries and canonical_mac(mac) in readable}
        changed = {mac: found for mac, found in self._entries.items() if mac not in as_stored}
        if moved or changed:
            self._write(self._entries, changed, moved)
            self._db.compact(f"{LIST_KEY}:")  # secrets that were wiped leave the files, too
            log.info("remembered miners were brought to their normal form", extra={"miners": len(changed)})

    def _write(self, entries: dict[str, Found], changed: Mapping[str, Found], gone: Iterable[str]) -> None:
        puts = {f"{LIST_KEY}:{mac}": to_record(found) for mac, found in changed.items()}
        self._db.write({LIST_KEY: list(entries), **puts}, [f"{LIST_KEY}:{mac}" for mac in gone])
        self._entries = entries


def _newest(entries: dict[str, Found]) -> dict[str, Found]:
    """At most MAX_ENTRIES, those seen last, in their order."""
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
