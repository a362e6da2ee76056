"""Writes the table of docs/settings.md from the fields of `Settings`: `python -m tools.settings_table`."""

from __future__ import annotations

from dataclasses import Field
from pathlib import Path
from typing import Any

from app.settings import VARIABLES

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "settings.md"
HEADER = "| variable | default | meaning | example |\n|---|---|---|---|\n"


def format_default(variable: Field[Any]) -> str:
    """Return the default as text that the parser accepts, or "" if the variable is unset by default."""
    default = variable.default
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float):
        return f"{default:g}"
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default or "")


def format_row(name: str, variable: Field[Any]) -> str:
    text = format_default(variable)
    default = f"`{text}`" if text else variable.metadata["unset"]
    return f"| `{name}` | {default} | {variable.metadata['meaning']} | `{variable.metadata['example']}` |\n"


def update_table(document: str) -> str:
    """Return the document, which ends with the table, with a new table."""
    return document.partition(HEADER)[0] + HEADER + "".join(format_row(*each) for each in VARIABLES.items())


if __name__ == "__main__":
    DOCUMENT.write_text(update_table(DOCUMENT.read_text()))
