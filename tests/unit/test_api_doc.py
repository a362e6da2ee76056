"""docs/api.md is what the code generates."""

from app.blueprints.openapi import load_examples
from tools.api_doc import TARGET, format_document, read_document


def test_api_document_is_current():
    assert TARGET.read_text() == format_document(read_document(), load_examples()), "run python -m tools.api_doc"
