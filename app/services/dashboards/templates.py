"""Fills the dashboard templates of `grafana_templates/` by walking the parsed JSON.

Values are inserted into strings of the parsed tree, in one pass: a value can neither break out of the JSON nor add a
placeholder.
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
# Grafana interpolates `$name`, `${name}` and `[[name]]` in titles, but not these full-width forms.
_FULL_WIDTH = str.maketrans({"$": "\uff04", "[": "\uff3b", "]": "\uff3d"})

Dashboard = dict[str, Any]


class Templates:
    """Owns the two parsed templates. Each call returns a new dashboard."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._device = orjson.loads((folder / "device.json").read_bytes())
        self._overview = orjson.loads((folder / "overview.json").read_bytes())

    def render_device(self, uid: str, title: str, mac: str, data_source: str = DATA_SOURCE_UID) -> Dashboard:
        """Return a device's dashboard. Raises ValueError if `mac`, which is inserted into queries, is not a MAC."""
        if not _MAC.fullmatch(mac):
            raise ValueError(f"not a MAC: {mac!r}")
        return self._render_template(self._device, _placeholder_values(uid, title, data_source) | {"mac": mac})

    def render_overview(self, uid: str, title: str, data_source: str = DATA_SOURCE_UID) -> Dashboard:
        return self._render_template(self._overview, _placeholder_values(uid, title, data_source))

    @staticmethod
    def _render_template(template: Any, values: dict[str, str]) -> Dashboard:
        made = _fill_placeholders(template, values)
        assert isinstance(made, dict)  # noqa: S101
        return made


def _placeholder_values(uid: str, title: str, data_source: str) -> dict[str, str]:
    return {"uid": uid, "title": escape_title(title), "data_source": data_source}


def _fill_placeholders(node: Any, values: dict[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _fill_placeholders(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [_fill_placeholders(value, values) for value in node]
    return _PLACEHOLDER.sub(lambda found: values[found[1]], node) if isinstance(node, str) else node


def escape_title(title: str) -> str:
    """Return the title with all characters replaced that start an interpolation in Grafana."""
    return title.translate(_FULL_WIDTH)


def encode_dashboard(dashboard: Dashboard) -> bytes:
    """Return the dashboard as JSON for a file. Equal dashboards give equal bytes."""
    return orjson.dumps(dashboard, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"


def compute_fingerprint(dashboard: Dashboard) -> str:
    """Return the SHA-256 of the dashboard, in hex."""
    return hashlib.sha256(encode_dashboard(dashboard)).hexdigest()
