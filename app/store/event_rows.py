"""Stores the rows of the event log in `pluto_events`: each event once, and keys by which it is found.

`event:all:<id>` has the record; `event:kind:<kind>:<id>`, `event:mac:<mac>:<id>` and `event:mac-kind:<mac>:<kind>:<id>`
lead to it. Ids sort by time, so each query is a scan of one range per kind. `event:state:<mac>` is what was last known
of a device.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import nlargest
from typing import Any

import orjson

from app.errors import StoreFull
from app.store.database import LAST_CHARACTER, Database
from app.store.history import has_free_space
from app.throttle import throttled

PREFIX = "event:"
_ALL = f"{PREFIX}all:"
_MAC = f"{PREFIX}mac:"
_STATE = f"{PREFIX}state:"
MAC_LENGTH = 17


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event as it is stored. `record` is its JSON."""

    id: str
    kind: str
    mac: str | None
    record: bytes = b""


def scan_prefixes(mac: str | None, kinds: Iterable[str]) -> list[str]:
    """Return the prefixes of the ids of all events of a device, of any if None, and of these kinds, of all if empty."""
    wanted = list(kinds)
    if mac is None:
        return [f"{PREFIX}kind:{kind}:" for kind in wanted] or [_ALL]
    return [f"{PREFIX}mac-kind:{mac}:{kind}:" for kind in wanted] or [f"{_MAC}{mac}:"]


class EventRows:
    """Reads and writes rows; owns no state. Every method raises StoreError while the database cannot be used."""

    def __init__(self, database: Database, min_free_bytes: int = 0) -> None:
        """`min_free_bytes`: below this free space of the disk nothing is written."""
        self._database = database
        self._min_free_bytes = min_free_bytes

    def retry_writes(self) -> None:
        """After a failed write, try to reopen the database."""
        self._database.retry_writes()

    def save_rows(self, rows: Iterable[EventRow], states: Mapping[str, bytes | None]) -> None:
        """Write events and states of devices (JSON; None deletes one) in one batch, which is not synced."""
        puts: dict[str, bytes] = {}
        for row in rows:
            puts |= {**dict.fromkeys(_index_keys(row), row.kind.encode()), f"{_ALL}{row.id}": row.record}
        puts |= {f"{_STATE}{mac}": state for mac, state in states.items() if state is not None}
        gone = [f"{_STATE}{mac}" for mac, state in states.items() if state is None]
        if not has_free_space(self._database.path, self._min_free_bytes):
            raise StoreFull(str(self._database.path))
        if puts or gone:
            self._database.write_batch(puts, gone, sync=False)

    def load_states(self) -> dict[str, dict[str, Any]]:
        """Return the states by MAC."""
        found = self._database.scan_prefix(_STATE)
        return {key.removeprefix(_STATE): state for key, state in found if isinstance(state, dict)}

    def list_ids(self, mac: str | None, kinds: Iterable[str], first: str, before: str | None, limit: int) -> list[str]:
        """Return ids, newest first: from `first` up to, but not including, `before`; at most `limit`."""
        found: list[str] = []
        for prefix in throttled(scan_prefixes(mac, kinds)):
            stop = prefix + (LAST_CHARACTER if before is None else before)
            rows = self._database.read_rows(prefix + first, stop, reverse=True, limit=limit)
            found += [key.removeprefix(prefix) for key, _ in rows]
        return nlargest(limit, found)

    def get_record(self, event_id: str) -> Any | None:
        return self._database.read_value(f"{_ALL}{event_id}")

    def delete_oldest(self, before: str, limit: int) -> int:
        """Delete at most `limit` events with ids below `before`, oldest first; return their number."""
        rows = self._database.read_rows(_ALL, _ALL + before, limit=limit)
        self.delete_rows(_parse_row(key.removeprefix(_ALL), record) for key, record in rows)
        return len(rows)

    def list_device_rows(self, mac: str, before: str | None, limit: int) -> list[EventRow]:
        """Return events of a device without their records, newest first, with ids below `before`."""
        prefix = f"{_MAC}{mac}:"
        stop = prefix + (LAST_CHARACTER if before is None else before)
        rows = self._database.read_rows(prefix, stop, reverse=True, limit=limit)
        return [EventRow(key.removeprefix(prefix), kind.decode(errors="replace"), mac) for key, kind in rows]

    def delete_rows(self, rows: Iterable[EventRow]) -> None:
        keys = [key for row in rows for key in (f"{_ALL}{row.id}", *_index_keys(row))]
        if keys:
            self._database.write_batch({}, keys, sync=False)

    def next_mac(self, after: str) -> str | None:
        """Return the first MAC above `after` that has events."""
        start = f"{_MAC}{after};" if after else _MAC  # `;` follows `:`, which ends the MAC in a key
        rows = self._database.read_rows(start, _MAC + LAST_CHARACTER, limit=1)
        return rows[0][0].removeprefix(_MAC)[:MAC_LENGTH] if rows else None


def _index_keys(row: EventRow) -> list[str]:
    by_kind = [f"{PREFIX}kind:{row.kind}:{row.id}"] if row.kind else []
    by_mac = [f"{_MAC}{row.mac}:{row.id}", f"{PREFIX}mac-kind:{row.mac}:{row.kind}:{row.id}"] if row.mac else []
    return by_kind + by_mac


def _parse_row(event_id: str, record: bytes) -> EventRow:
    """Return the row of a record; without kind and MAC if it cannot be read."""
    try:
        parsed = orjson.loads(record)
        return EventRow(event_id, str(parsed["kind"]), parsed["mac"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return EventRow(event_id, "", None)
