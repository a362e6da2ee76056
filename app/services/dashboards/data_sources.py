"""Chooses the Grafana data source of the dashboards. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

# The uid in our provisioning files, and in dashboards that are delivered as files.
DATA_SOURCE_UID = "pluto-prometheus"
# The uid of the Node backend's data source: Grafana derives it from the name "Prometheus".
NODE_DATA_SOURCE_UID = "PBFA97CFB590B2093"

_UID = re.compile(r"[A-Za-z0-9_-]{1,40}")


def choose_data_source(listed: Iterable[Any]) -> str | None:
    """Return the uid of the Prometheus data source to use; None when Grafana has none.

    The order of preference is: ours, the Node backend's, the default one, the first.
    """
    ranked = sorted(filter(_is_usable, listed), key=_preference_rank)
    return str(ranked[0]["uid"]) if ranked else None


def _is_usable(source: Any) -> bool:
    if not isinstance(source, dict) or source.get("type") != "prometheus":
        return False
    uid = source.get("uid")
    return isinstance(uid, str) and _UID.fullmatch(uid) is not None


def _preference_rank(source: dict[str, Any]) -> tuple[bool, ...]:
    uid = source["uid"]
    return uid != DATA_SOURCE_UID, uid != NODE_DATA_SOURCE_UID, source.get("isDefault") is not True
