"""Stores JSON objects under keys of our own, `pluto:<kind>:<id>` in `pluto_core`, which the Node backend ignores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from app.store.database import Database
from app.store.key_layout import DEVICE_KINDS, document_prefix

MAC_LENGTH = 17


class Documents:
    """Reads and writes the documents of one kind. Each write is on disk when the method returns."""

    def __init__(self, db: Database, kind: str) -> None:
        self._db = db
        self._prefix = document_prefix(kind)

    def get_document(self, key: str) -> dict[str, Any] | None:
        value = self._db.read_value(self._prefix + key)
        return value if isinstance(value, dict) else None

    def list_documents(self, id_prefix: str = "") -> list[tuple[str, dict[str, Any]]]:
        """Return each id that starts with `id_prefix` and its document, in the order of ids."""
        start = len(self._prefix)
        return [
            (key[start:], value)
            for key, value in self._db.scan_prefix(self._prefix + id_prefix)
            if isinstance(value, dict)
        ]

    def save_document(self, key: str, value: Mapping[str, Any], deletes: Iterable[str] = ()) -> None:
        """Write one document and delete those whose ids are in `deletes`, in one batch."""
        self._db.write_batch({self._prefix + key: dict(value)}, [self._prefix + each for each in deletes])

    def save_documents(self, values: Mapping[str, Mapping[str, Any]], deletes: Iterable[str] = ()) -> None:
        """Write several documents and delete those whose ids are in `deletes`, in one batch."""
        puts = {self._prefix + key: dict(value) for key, value in values.items()}
        self._db.write_batch(puts, [self._prefix + key for key in deletes])

    def compact_documents(self) -> None:
        """Remove overwritten and deleted documents from LevelDB's files."""
        self._db.compact_prefix(self._prefix)

    def delete_documents(self, *keys: str) -> None:
        self._db.write_batch({}, [self._prefix + key for key in keys])


class DeviceDocuments(Documents):
    """Documents of devices, under `<mac>` or `<mac>:<id>`. None is written for a device that `is_registered` denies, so
    that a late write leaves nothing behind; `DeviceRepository.delete_device` deletes them all."""

    def __init__(self, db: Database, kind: str, is_registered: Callable[[str], bool]) -> None:
        assert kind in DEVICE_KINDS  # noqa: S101
        super().__init__(db, kind)
        self._is_registered = is_registered

    def save_document(self, key: str, value: Mapping[str, Any], deletes: Iterable[str] = ()) -> None:
        if self._is_registered(key[:MAC_LENGTH]):
            super().save_document(key, value, deletes)
