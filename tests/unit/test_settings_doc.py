"""docs/settings.md lists what can be set: every variable, its default, and an example that works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.settings import PARSERS, Settings

DOCUMENT = Path(__file__).resolve().parent.parent.parent / "docs" / "settings.md"
ROW = re.compile(r"^\| `([A-Z_]+)` \| (.+?) \| .+ \| `(.+?)` \|$", re.MULTILINE)


def rows() -> dict[str, tuple[str, str]]:
    """name → (default, example) as they are written."""
    return {name.lower(): (default, example) for name, default, example in ROW.findall(DOCUMENT.read_text())}


def test_every_setting_has_its_row_and_no_other() -> None:
    assert [name.lower() for name, _, _ in ROW.findall(DOCUMENT.read_text())] == list(PARSERS)


@pytest.mark.parametrize("name", PARSERS)
def test_default_is_the_true_one(name: str) -> None:
    written = rows()[name][0]
    default = getattr(Settings(), name)
    if written.startswith("`"):
        assert PARSERS[name](written.strip("`")) == default
    else:
        assert not default, "a default in words is for what is unset"


# An example of a file that must exist cannot be tried.
@pytest.mark.parametrize("name", [name for name in PARSERS if not name.endswith("_file")])
def test_example_is_accepted_and_changes_something(name: str) -> None:
    example = rows()[name][1]
    assert Settings.from_environ({name.upper(): example}) != Settings()
