"""Which keys there are: those of the original, and ours below `pluto:`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DEVICES = "devices:imprinted"
PRESETS = "presets"
DISCOVERED = "devices:discovered"
# Each names the ids of the records `<list key>:<id>`, in order; only what it names is there.
LISTS = (DEVICES, PRESETS, DISCOVERED)

OURS = "pluto:"
# Kinds of documents that belong to one device; `DeviceRepository.delete` deletes them in the batch of its record.
DEVICE_KINDS = ("journal", "intent", "drift", "repairs", "conflict")


def document_prefix(kind: str) -> str:
    return f"{OURS}{kind}:"


def oldest_first(records: Mapping[str, Any]) -> list[str]:
    """The ids of records by their `createdAt`: the best order there is when a list key cannot be read."""
    return sorted(records, key=lambda each: str(_created(records[each])))


def _created(record: Any) -> Any:
    return record.get("createdAt") if isinstance(record, Mapping) else ""
