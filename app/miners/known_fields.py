"""The fields of a miner's answer that this service uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.miners.measures import MEASURED_FIELDS
from app.miners.setting_table import SETTINGS

MAX_TOTAL = 4096
MAX_TEXT = 256

# Fields that identify the miner come first: if an answer is too long, the last fields are dropped.
_DESCRIPTION = (
    *("hostname", "macAddr", "ASICModel", "boardVersion", "deviceModel", "minerModel", "family", "version"),
    *("axeOSVersion", "asicCount", "smallCoreCount", "hashRate", "hostip", "ipv4", "ssid", "wifiStatus"),
    *("jobInterval", "runningPartition", "idfVersion", "resetReason"),
)
_SETTINGS = tuple(
    field for setting in SETTINGS.values() if not (setting.secret or setting.list_item) for field in setting.fields
)
KNOWN_FIELDS = tuple(dict.fromkeys((*_DESCRIPTION, *sorted(MEASURED_FIELDS), *_SETTINGS)))


def select_known_fields(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scalar values of the known fields, at most 4 KiB, which is all that discovery stores of a miner.

    Without this limit, 100 addresses that answered 256 KiB each took 1.3 GB of memory (issue 10, 10).
    """
    kept: dict[str, Any] = {}
    left = MAX_TOTAL
    for key in KNOWN_FIELDS:
        value = info.get(key)
        if isinstance(value, str) and len(value) > MAX_TEXT:
            continue
        if isinstance(value, (str, int, float)):  # a bool is an int
            left -= len(key) + len(str(value))
            if left < 0:
                break
            kept[key] = value
    return kept
