"""The dashboards as data: templates from `grafana_templates/`, filled by walking the parsed object.

A value is put into a string of the finished tree, once, and is never looked at again: it can neither break out of the
JSON nor bring a placeholder of its own.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import orjson

from app.services.dashboards.data_sources import DATA_SOURCE_UID

FOLDER = Path(__file__).resolve().parents[3] / "grafana_templates"

_PLACEHOLDER = re.compile(r"@@(\w+)@@")
_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
# Grafana interpolates `$name`, `${name}` and `[[name]]` in titles; to these look-alikes it does nothing.
_LOOKALIKES = str.maketrans({"$": "\uff04", "[": "\uff3b", "]": "\uff3d"})

Dashboard = dict[str, Any]


class Templates:
    """Owns the two parsed templates. What it makes is new with each call."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._device = orjson.loads((folder / "device.json").read_bytes())
        self._overview = orjson.loads((folder / "overview.json").read_bytes())

    def device(self, uid: str, title: str, mac: str, data_source: str = DATA_SOURCE_UID) -> Dashboard:
        """Raises ValueError when `mac` is not one: it goes into queries."""
        if not _MAC.fullmatch(mac):
            raise ValueError(f"not a MAC: {mac!r}")
        return self._made(self._device, _values(uid, title, data_source) | {"mac": mac})

    def overview(self, uid: str, title: str, data_source: str = DATA_SOURCE_UID) -> Dashboard:
        return self._made(self._overview, _values(uid, title, data_source))

    @staticmethod
    def _made(template: Any, values: dict[str, str]) -> Dashboard:
        made = _filled(template, values)
        assert isinstance(made, dict)  # noqa: S101
        return made


def _values(uid: str, title: str, data_source: str) -> dict[str, str]:
    return {"uid": uid, "title": harmless(title), "data_source": data_source}


def _filled(node: Any, values: dict[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _filled(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, values) for value in node]
    return _PLACEHOLDER.sub(lambda found: values[found[1]], node) if isinstance(node, str) else node


def harmless(title: str) -> str:
    """A title that Grafana shows as it reads, with nothing in it that it would interpolate."""
    return title.translate(_LOOKALIKES)


def encoded(dashboard: Dashboard) -> bytes:
    """The file's content; equal dashboards are equal bytes."""
    return orjson.dumps(dashboard, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"


def fingerprint(dashboard: Dashboard) -> str:
    """Changes when the template, the title or anything else in it does."""
    return hashlib.sha256(encoded(dashboard)).hexdigest()
