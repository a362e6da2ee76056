"""HTTP requests to processes on this machine, each over a new connection and never through a proxy."""

from __future__ import annotations

import json
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any

from .child_processes import ProcessFailed


def send_request(
    server: str, path: str, method: str = "GET", body: Any = None, headers: dict[str, str] | None = None
) -> tuple[HTTPResponse, bytes]:
    """Send one request, with `body` as JSON, to `server` (HOST:PORT), and return the answer with its body.

    Raises:
        OSError: if the server does not answer.
    """
    with closing(HTTPConnection(server, timeout=60)) as connection:
        content_type = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), content_type | (headers or {}))
        answer = connection.getresponse()
        return answer, answer.read()


def fetch_json(server: str, path: str, method: str = "GET", body: Any = None) -> Any:
    """Return the parsed answer. Raises ProcessFailed if there is none or its status is not 200."""
    try:
        answer, content = send_request(server, path, method, body)
    except (OSError, HTTPException) as error:
        raise ProcessFailed(f"{method} {path} got no answer: {error}") from None
    if answer.status != 200:
        raise ProcessFailed(f"{method} {path} answered {answer.status}: {content.decode(errors='replace')}")
    return json.loads(content)


def is_ready(server: str) -> bool:
    """Return whether the service answers 200 to /readyz."""
    try:
        return send_request(server, "/readyz")[0].status == 200
    except (OSError, HTTPException):
        return False
