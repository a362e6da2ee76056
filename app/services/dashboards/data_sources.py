"""Which of Grafana's data sources the dashboards use. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

# That of our provisioning, and of dashboards that are delivered as files.
DATA_SOURCE_UID = "pluto-prometheus"
# Grafana makes it from the name "Prometheus"; the Node project's data source has it.
NODE_DATA_SOURCE_UID = "PBFA97CFB590B2093"

_UID = re.compile(r"[A-Za-z0-9_-]{1,40}")


def choose_data_source(listed: Iterable[Any]) -> str | None:
    """Return the uid of the Prometheus data source to use; None when Grafana has none.

    Ours, else the Node project's, else the default one, else the first.
    """
    ranked = sorted(filter(_is_usable, listed), key=_rank)
    return str(ranked[0]["uid"]) if ranked else None


def _is_usable(source: Any) -> bool:
    if not isinstance(source, dict) or source.get("type") != "prometheus":
        return False
    uid = source.get("uid")
    return isinstance(uid, str) and _UID.fullmatch(uid) is not None


def _rank(source: dict[str, Any]) -> tuple[bool, ...]:
    uid = source["uid"]
    return uid != DATA_SOURCE_UID, uid != NODE_DATA_SOURCE_UID, source.get("isDefault") is not True
