"""Stores preset records like the Node backend, including passwords: `presets:<uuid>` and the list key `presets`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gevent.lock import RLock

from app.store.database import Database
from app.store.key_layout import PRESETS, sort_by_creation

log = logging.getLogger(__name__)

LIST_KEY = PRESETS


class PresetRepository:
    """Owns the preset records, in memory and on disk, in insertion order. A lock serialises changes, because each one
    rewrites the list key."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._uuids: list[str] = []
        self._records: dict[str, dict[str, Any]] = {}
        self._writing = RLock()

    def load_presets(self) -> None:
        self._uuids = self._read_uuid_list()
        for uuid in self._uuids:
            record = self._db.read_value(_record_key(uuid))
            if isinstance(record, dict):
                self._records[uuid] = {**record, "uuid": uuid}
            else:
                log.error("a stored preset cannot be read and was ignored", extra={"uuid": uuid})

    def _read_uuid_list(self) -> list[str]:
        """Return the uuids of the list key; if it cannot be read, those of all records, oldest first.

        Otherwise the next write would lose these presets.
        """
        listed = self._db.read_value(LIST_KEY)
        if isinstance(listed, list):
            return [uuid for uuid in listed if isinstance(uuid, str)]
        uuids = sort_by_creation(
            {key.removeprefix(f"{LIST_KEY}:"): each for key, each in self._db.scan_prefix(f"{LIST_KEY}:")}
        )
        if uuids:
            log.error("the list of presets cannot be read; rebuilt from their records", extra={"presets": uuids})
        return uuids

    def list_presets(self) -> list[dict[str, Any]]:
        return [self._records[uuid] for uuid in self._uuids if uuid in self._records]

    def get_preset(self, uuid: str) -> dict[str, Any] | None:
        return self._records.get(uuid)

    def save_preset(self, record: Mapping[str, Any]) -> None:
        """Write a preset. It is on disk when this returns."""
        with self._writing:
            uuid = record["uuid"]
            uuids = list(dict.fromkeys([*self._uuids, uuid]))
            self._db.write_batch({LIST_KEY: uuids, _record_key(uuid): dict(record)})
            self._uuids, self._records[uuid] = uuids, dict(record)

    def edit_preset(self, uuid: str, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> bool:
        """Replace a record by the result of `change`, and remove the former password from LevelDB's files.

        Return False if there is no such preset.
        """
        with self._writing:
            record = self._records.get(uuid)
            if record is None:
                return False
            self.save_preset(change(record))
            self._db.compact_prefix(_record_key(uuid))
            return True

    def delete_preset(self, uuid: str, write: Callable[[Mapping[str, Any], Iterable[str]], object]) -> None:
        """Delete a preset through `write(puts, deletes)`, which can add changes to the same batch."""
        with self._writing:
            uuids = [each for each in self._uuids if each != uuid]
            write({LIST_KEY: uuids}, [_record_key(uuid)])
            self._uuids = uuids
            self._records.pop(uuid, None)
            self._db.compact_prefix(_record_key(uuid))


def _record_key(uuid: str) -> str:
    return f"{LIST_KEY}:{uuid}"
