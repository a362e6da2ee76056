"""The journal of writes to miners: what was written, on whose request, and the outcome. It holds no secrets."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypedDict, cast

from app.clock import Clock
from app.events import DeviceDeleted, JournalEntryEnded
from app.store.documents import Documents

log = logging.getLogger(__name__)

KEPT = 200


class EntryOutcome(StrEnum):
    """`in_doubt`: the write was begun, and its outcome is not known. `failed`: the miner could not be reached."""

    IN_DOUBT = "in_doubt"
    APPLIED = "applied"
    PENDING_RESTART = "pending_restart"
    REFUSED = "refused"
    FAILED = "failed"


class EntryChange(TypedDict):
    """What became of one key of an entry."""

    key: str
    actual: Any
    status: str
    reason: str | None


class _Required(TypedDict):
    id: str
    at: str
    mac: str
    actor: str
    job: str | None
    before: dict[str, Any]
    after: dict[str, Any]
    outcome: str


class JournalEntry(_Required, total=False):
    """`before` and `after`: value by key, None for a secret. `presetBefore` and `presetAfter`: where a preset was
    applied. `reverts`: the id of the entry that this one reverts. `tick` (of `at`, see Moment) and `uptime` (the
    miner's, in seconds) show later whether the miner has restarted since; they are not shown to clients."""

    changes: list[EntryChange]
    presetBefore: str | None
    presetAfter: str | None
    reverts: str
    tick: str
    uptime: float | None


_TEXT = str | None
_KINDS: Mapping[str, Any] = {
    **dict.fromkeys(("id", "at", "actor", "outcome"), str),
    **dict.fromkeys(("job", "presetBefore", "presetAfter", "reverts"), _TEXT),
    **dict.fromkeys(("before", "after"), dict),
}
_INTERNAL = frozenset({"tick", "uptime"})
_ID = re.compile(r"[0-9]{1,10}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who requested a write: `actor` is a peer's address or a token's name; `job` the id of the job, if there is
    one."""

    actor: str
    job: str | None = None


class Journal:
    """Owns the numbering of the entries, 200 of which are kept per device. Ids are increasing numbers per device."""

    def __init__(
        self, documents: Documents, clock: Clock, publish: Callable[[JournalEntryEnded], None] = lambda event: None
    ) -> None:
        self._documents = documents
        self._clock = clock
        self._publish = publish
        self._numbers: dict[str, int] = {}

    def begin_entry(
        self, mac: str, origin: Origin, before: Mapping[str, Any], after: Mapping[str, Any], **more: Any
    ) -> str:
        """Record a write that is about to be sent, on disk when this returns. Its outcome is `in_doubt` until
        `end_entry`."""
        number = self._next_number(mac)
        entry = {
            "id": str(number),
            **self._clock.current_stamp(),
            "mac": mac,
            "actor": origin.actor,
            "job": origin.job,
            "before": dict(before),
            "after": dict(after),
            "outcome": EntryOutcome.IN_DOUBT,
            **more,
        }
        self._documents.save_document(_entry_key(mac, number), entry, [_entry_key(mac, number - KEPT)])
        return str(number)

    def end_entry(
        self, mac: str, entry_id: str, outcome: EntryOutcome, changes: list[EntryChange] | None = None
    ) -> None:
        """Record the outcome; nothing is written for a device that was deleted meanwhile."""
        entry = self.get_entry(mac, entry_id)
        if entry is not None:
            extra = {} if changes is None else {"changes": changes}
            ended = {**entry, "outcome": outcome, **extra}
            self._documents.save_document(_entry_key(mac, int(entry_id)), ended)
            self._publish(JournalEntryEnded(cast(JournalEntry, ended)))

    def get_entry(self, mac: str, entry_id: str) -> JournalEntry | None:
        entry = self._documents.get_document(_entry_key(mac, int(entry_id))) if _ID.fullmatch(entry_id) else None
        return cast(JournalEntry, entry) if entry is not None and _is_entry(entry) else None

    def entries_of(self, mac: str) -> list[JournalEntry]:
        """Return the entries, newest first. Entries that this version cannot read are left out (logged)."""
        found = [entry for _, entry in reversed(self._documents.list_documents(f"{mac}:"))]
        entries = [cast(JournalEntry, entry) for entry in found if _is_entry(entry)]
        if len(entries) < len(found):
            extra = {"mac": mac, "entries": len(found) - len(entries)}
            log.error("journal entries cannot be read and were left alone", extra=extra)
        return entries

    def public_entries(self, mac: str) -> list[JournalEntry]:
        """Return the entries for clients, without the fields that only this service uses."""
        return [
            cast(JournalEntry, {key: value for key, value in entry.items() if key not in _INTERNAL})
            for entry in self.entries_of(mac)
        ]

    def latest_number(self, mac: str) -> int:
        """Return the number of the last entry of this process, 0 for none: a cheap check for new entries."""
        return self._numbers.get(mac, 0)

    def on_device_deleted(self, event: DeviceDeleted) -> None:
        self._numbers.pop(event.mac, None)

    def _next_number(self, mac: str) -> int:
        if mac not in self._numbers:
            entries = self._documents.list_documents(f"{mac}:")
            self._numbers[mac] = _number_of(entries[-1][0]) if entries else 0
        self._numbers[mac] += 1
        return self._numbers[mac]


def _is_entry(entry: Mapping[str, Any]) -> bool:
    """Return True if the fields have the types that `begin_entry` and `end_entry` write."""
    changes = entry.get("changes") or ()
    return (
        all(isinstance(entry.get(name), kind) for name, kind in _KINDS.items())
        and isinstance(changes, list | tuple)
        and all(isinstance(row, dict) and isinstance(row.get("key"), str) for row in changes)
    )


def _number_of(key: str) -> int:
    """Return 0 for a key of another form."""
    number = key.rpartition(":")[2]
    return int(number) if _ID.fullmatch(number) else 0


def _entry_key(mac: str, number: int) -> str:
    """Return a zero-padded key, so that keys sort as numbers do."""
    return f"{mac}:{number:010d}"
