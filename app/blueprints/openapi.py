"""Completes the OpenAPI document of flask-smorest with recorded examples and the errors that every operation has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

EXAMPLES_FILE = Path(__file__).parents[1] / "schemas/examples.json"
"""By `METHOD /path`: the request, and the body and type of the answer. `python -m tools.api_examples` writes it."""

_READING = ("get",)
_ERRORS = {"401": "A token is configured, and the request has none or a wrong one"}
_WRITE_ERRORS = {
    "403": "The token may only read, or a page of another origin sent the request",
    "429": "Too many changes by this client: wait for `Retry-After`",
    "503": "The store cannot be written, or the service stops",
    "507": "The disk is full",
}


def load_examples(path: Path = EXAMPLES_FILE) -> dict[str, Any]:
    return dict(orjson.loads(path.read_bytes()))


def complete_document(document: dict[str, Any], examples: Mapping[str, Any]) -> dict[str, Any]:
    """Add the common errors and the examples to a document."""
    for key, method, operation in list_operations(document):
        common = _ERRORS if method in _READING else _ERRORS | _WRITE_ERRORS
        for status, description in common.items():
            operation["responses"].setdefault(status, {"description": description, "content": _problem_content()})
        if key in examples:
            _add_example(operation, examples[key])
    return document


def list_operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the key, the method and the object of every operation."""
    for path, item in document["paths"].items():
        for method in ("get", "put", "post", "patch", "delete"):
            if method in item:
                yield f"{method.upper()} {path}", method, item[method]


def _add_example(operation: dict[str, Any], example: Mapping[str, Any]) -> None:
    if "body" in example and "requestBody" in operation:
        operation["requestBody"]["content"]["application/json"]["example"] = example["body"]
    answer = example["answer"]
    content = operation["responses"][str(answer["status"])].setdefault("content", {})
    content.setdefault(answer["type"], {})["example"] = answer["body"]


def _problem_content() -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
