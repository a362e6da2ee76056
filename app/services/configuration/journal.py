"""What was written to which miner, by whom, and what came of it. No secrets.

An entry: `id`, `at`, `mac`, `actor`, `job`, `before` and `after` (value by key; null for a secret), `outcome`,
`changes` (what the miner made of each key), `presetBefore` and `presetAfter` where a preset was applied. `tick` (of
`at`, see Moment) and `uptime` (the miner's, in seconds) tell later whether it restarted since.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.clock import Clock
from app.events import DeviceDeleted
from app.store.documents import Documents

log = logging.getLogger(__name__)

KEPT = 200
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
    """Who asked: `actor` is a peer's address or a token's name; `job` the id of the job, if it was one."""

    actor: str
    job: str | None = None


class Journal:
    """Owns the numbering of the entries, 200 of which are kept per device. Ids are numbers, growing, per device."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock
        self._numbers: dict[str, int] = {}

    def begin(self, mac: str, origin: Origin, before: Mapping[str, Any], after: Mapping[str, Any], **more: Any) -> str:
        """Notes a write that is about to be sent; on disk when it returns. Its outcome is `in_doubt` until `end`."""
        number = self._next(mac)
        entry = {
            "id": str(number),
            **self._clock.stamp(),
            "mac": mac,
            "actor": origin.actor,
            "job": origin.job,
            "before": dict(before),
            "after": dict(after),
            "outcome": "in_doubt",
            **more,
        }
        self._documents.put(_key(mac, number), entry, [_key(mac, number - KEPT)])
        return str(number)

    def end(self, mac: str, entry_id: str, outcome: str, changes: list[dict[str, Any]] | None = None) -> None:
        """`outcome`: applied, pending_restart, refused, failed, or still in_doubt. A deleted device's entry is gone,
        and stays so."""
        entry = self.get(mac, entry_id)
        if entry is not None:
            extra = {} if changes is None else {"changes": changes}
            self._documents.put(_key(mac, int(entry_id)), {**entry, "outcome": outcome, **extra})

    def get(self, mac: str, entry_id: str) -> dict[str, Any] | None:
        entry = self._documents.get(_key(mac, int(entry_id))) if _ID.fullmatch(entry_id) else None
        return entry if entry is not None and _is_entry(entry) else None

    def of(self, mac: str) -> list[dict[str, Any]]:
        """Newest first. What is no entry, as this service writes them, is left out (logged)."""
        found = [entry for _, entry in reversed(self._documents.all(f"{mac}:"))]
        entries = [entry for entry in found if _is_entry(entry)]
        if len(entries) < len(found):
            extra = {"mac": mac, "entries": len(found) - len(entries)}
            log.error("journal entries cannot be read and were left alone", extra=extra)
        return entries

    def shown(self, mac: str) -> list[dict[str, Any]]:
        """`of`, without what only this service uses."""
        return [{key: value for key, value in entry.items() if key not in _INTERNAL} for entry in self.of(mac)]

    def latest(self, mac: str) -> int:
        """The number of the last entry of this process, 0 for none: cheap, to see whether there is a new one."""
        return self._numbers.get(mac, 0)

    def on_device_deleted(self, event: DeviceDeleted) -> None:
        self._numbers.pop(event.mac, None)

    def _next(self, mac: str) -> int:
        if mac not in self._numbers:
            entries = self._documents.all(f"{mac}:")
            self._numbers[mac] = _number_of(entries[-1][0]) if entries else 0
        self._numbers[mac] += 1
        return self._numbers[mac]


def _is_entry(entry: Mapping[str, Any]) -> bool:
    """Whether the fields are of the types that `begin` and `end` write."""
    changes = entry.get("changes") or ()
    return (
        all(isinstance(entry.get(name), kind) for name, kind in _KINDS.items())
        and isinstance(changes, list | tuple)
        and all(isinstance(row, dict) and isinstance(row.get("key"), str) for row in changes)
    )


def _number_of(key: str) -> int:
    """0 for a key that is none of ours."""
    number = key.rpartition(":")[2]
    return int(number) if _ID.fullmatch(number) else 0


def _key(mac: str, number: int) -> str:
    """Zero-padded, so that keys sort as numbers do."""
    return f"{mac}:{number:010d}"
