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
# What is kept of one device beside its record; it goes in the same batch.
OF_A_DEVICE = (
    "pluto:journal:{mac}:",
    "pluto:intent:{mac}",
    "pluto:drift:{mac}",
    "pluto:repairs:{mac}",
    "pluto:conflict:{mac}",
)


def oldest_first(records: Mapping[str, Any]) -> list[str]:
    """The ids of records by their `createdAt`: the best order there is when a list key cannot be read."""
    return sorted(records, key=lambda each: str(_created(records[each])))


def _created(record: Any) -> Any:
    return record.get("createdAt") if isinstance(record, Mapping) else ""
