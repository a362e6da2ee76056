"""What is answered in place of the application, and the headers that every answer has."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson

Environ = dict[str, Any]
Wsgi = Callable[..., Iterable[bytes]]
Headers = tuple[tuple[str, str], ...]

READS = frozenset({"GET", "HEAD", "OPTIONS"})
"""The methods that change nothing."""

_ALWAYS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
)
_NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_INLINE = re.compile(r"<(style|script)>(.*?)</\1>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Answer:
    """`sentence`: what stands in the JSON of an error; None: no body. `page`: HTML for a person instead."""

    status: str
    sentence: str | None = None
    headers: Headers = ()
    page: bytes | None = None

    def give(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """A body that nobody has read is not waited for, so the connection ends with it."""
        unread = "HTTP_TRANSFER_ENCODING" in environ or environ.get("CONTENT_LENGTH", "") not in ("", "0")
        kind = "text/html; charset=utf-8" if self.page is not None else "application/json"
        start_response(
            self.status, [("Content-Type", kind), *self.headers, *([("Connection", "close")] if unread else [])]
        )
        return [] if self.sentence is None or environ["REQUEST_METHOD"] == "HEAD" else [self.body()]

    def body(self) -> bytes:
        return self.page if self.page is not None else orjson.dumps({"error": self.sentence, "message": self.sentence})


Rule = Callable[[Environ], Answer | None]
"""Judges a request: the answer for one that may not pass, None for one that may."""


def security_headers(policy: str = _NOTHING, *, shared: bool = False) -> Headers:
    """`shared`: pages of other origins may use what is answered."""
    sharing = ("Vary", "Origin") if shared else ("Cross-Origin-Resource-Policy", "same-origin")
    return (*_ALWAYS, ("Content-Security-Policy", policy), sharing)


def policy_of_pages(*pages: str) -> str:
    """The Content-Security-Policy under which these pages' own styles and scripts run, and nothing that a device's name
    may bring along. They talk to the service alone."""
    allowed: dict[str, list[str]] = {"style": [], "script": []}
    for kind, text in (found for page in pages for found in _INLINE.findall(page)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        allowed[kind].append(f"'sha256-{digest}'")
    sources = [f"{kind}-src {' '.join(dict.fromkeys(hashes))}" for kind, hashes in allowed.items() if hashes]
    return "; ".join([_NOTHING, "connect-src 'self'", *sources])
