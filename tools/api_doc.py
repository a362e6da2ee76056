"""`python -m tools.api_doc`: writes docs/api.md from the OpenAPI document, its recorded examples, and the events."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from app.application import create_app
from app.blueprints.openapi import list_operations, load_examples
from app.schemas.socketio import CLIENT_EVENTS, SERVER_EVENTS
from app.settings import Settings

TARGET = Path(__file__).parents[1] / "docs/api.md"
SERVER = "http://localhost:3000"
MOST_LINES = 40
INTRODUCTION = """# API

Every call with the answer of a service with simulated miners. `python -m tools.api_examples` records the answers, and
`python -m tools.api_doc` writes this file. Long lists and texts are shortened. The service itself shows the same at
`/docs`, and has the documents at `/openapi.json` (OpenAPI 3.1) and `/asyncapi.json` (AsyncAPI 3).

Answers are `{"message", "data"}` on success, `{"error", "message", "details"?}` on failure. A member without a value is
left out. Times are ISO 8601 in UTC, and names have their unit. With `API_TOKEN` each request needs
`Authorization: Bearer <token>`.
"""


def read_document() -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        app = create_app(Settings.from_environ({"DATA_DIR": folder}))
        return dict(app.test_client().get("/openapi.json").get_json())


def format_document(document: Mapping[str, Any], examples: Mapping[str, Any]) -> str:
    return "\n".join([INTRODUCTION, *_format_operations(document, examples), *_format_events()]) + "\n"


def _format_operations(document: Mapping[str, Any], examples: Mapping[str, Any]) -> Iterator[str]:
    groups: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for key, _, operation in list_operations(document):
        groups.setdefault(operation["tags"][0], []).append((key, operation))
    for tag in document["tags"]:
        if tag["name"] not in groups:
            continue
        yield f"## {tag['description']}\n"
        for key, operation in groups[tag["name"]]:
            yield f"### `{key}`\n\n**{operation['summary']}.** {operation['description']}\n"
            yield _format_example(key.split(" ")[0], examples[key])


def _format_example(method: str, example: Mapping[str, Any]) -> str:
    parts = ["curl -s", *([f"-X {method}"] if method != "GET" else []), shlex.quote(SERVER + example["path"])]
    if "body" in example:
        parts += ["-H 'Content-Type: application/json'", "-d", shlex.quote(json.dumps(example["body"]))]
    body = example["answer"]["body"]
    text = body if isinstance(body, str) else json.dumps(body, indent=1, ensure_ascii=False)
    lines = text.splitlines()
    shown = lines if len(lines) <= MOST_LINES else [*lines[:MOST_LINES], "..."]
    return "\n".join(["```sh", " ".join(parts), "```", f"```\n{example['answer']['status']}", *shown, "```\n"])


def _format_events() -> Iterator[str]:
    yield "## Socket.IO\n\nPath `/socket/io`, default namespace. The payloads are in `/asyncapi.json`.\n"
    yield "| the client sends | meaning | token |\n|---|---|---|"
    for sent in CLIENT_EVENTS:
        yield f"| `{sent.name}` | {sent.summary} | {sent.scope} |"
    yield "\n| the service sends | meaning | to |\n|---|---|---|"
    for event in SERVER_EVENTS:
        yield f"| `{event.name}` | {event.summary} | {event.receivers} |"


def main() -> int:
    TARGET.write_text(format_document(read_document(), load_examples()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
