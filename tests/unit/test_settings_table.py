"""tools/settings_table.py and the table in docs/settings.md, which it writes."""

from __future__ import annotations

import pytest

from app.settings import VARIABLES, Settings, parse_variable
from tools.settings_table import DOCUMENT, format_default, update_table


def test_document_is_up_to_date() -> None:
    document = DOCUMENT.read_text()
    assert update_table(document) == document, "run `python -m tools.settings_table`"


@pytest.mark.parametrize("name", VARIABLES)
def test_default_is_accepted_by_parser(name: str) -> None:
    text, default = format_default(VARIABLES[name]), VARIABLES[name].default
    assert parse_variable(name, text) == default if text else default in (None, ())


# The example of a file is the path of a file that does not exist here.
@pytest.mark.parametrize("name", [name for name in VARIABLES if not name.endswith("_FILE")])
def test_example_is_accepted_and_differs_from_default(name: str) -> None:
    assert Settings.from_environ({name: VARIABLES[name].metadata["example"]}) != Settings()
