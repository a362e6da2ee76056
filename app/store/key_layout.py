"""The key layout of the store: the Node backend's keys, and this service's own below `pluto:`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DEVICES = "devices:imprinted"
PRESETS = "presets"
DISCOVERED = "devices:discovered"
# Each list key holds the ids of the records `<list key>:<id>`, in order. A record that is not in the list is ignored.
LISTS = (DEVICES, PRESETS, DISCOVERED)

OWN_PREFIX = "pluto:"
# Kinds of documents that belong to a device. `DeviceRepository.delete_device` deletes them in the batch of its record.
DEVICE_KINDS = ("journal", "intent", "drift", "repairs", "conflict")

# Miners that the user ignores. `DeviceRepository.save_devices` deletes the document of a miner that is registered.
IGNORED = "ignored"


def document_prefix(kind: str) -> str:
    return f"{OWN_PREFIX}{kind}:"


def sort_by_creation(records: Mapping[str, Any]) -> list[str]:
    """Return the ids of records in the order of `createdAt`: the fallback order if a list key cannot be read."""
    return sorted(records, key=lambda each: str(_creation_time(records[each])))


def _creation_time(record: Any) -> Any:
    return record.get("createdAt") if isinstance(record, Mapping) else ""
