"""HTTP responses that the guard sends instead of the application, and the security headers of every response."""

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

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""The safe methods (RFC 9110, section 9.2.1)."""

_COMMON_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
)
_DENY_ALL_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
WEB_INTERFACE_POLICY = "; ".join(
    [
        _DENY_ALL_POLICY,
        *(f"{kind}-src 'self'" for kind in ("script", "style", "font", "connect", "manifest")),
        "img-src 'self' data:",
    ]
)
"""The Content-Security-Policy of the built web interface, in which nothing is inline."""
_INLINE_ELEMENT = re.compile(r"<(style|script)>(.*?)</\1>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response of the guard. `message`: the text of the JSON error, or None. `page`: HTML to send instead."""

    status: str
    message: str | None = None
    headers: Headers = ()
    page: bytes | None = None

    def send_response(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Send the response. If the request has a body, it may be unread, so the connection is closed."""
        unread = "HTTP_TRANSFER_ENCODING" in environ or environ.get("CONTENT_LENGTH", "") not in ("", "0")
        kind = "text/html; charset=utf-8" if self.page is not None else "application/json"
        start_response(
            self.status, [("Content-Type", kind), *self.headers, *([("Connection", "close")] if unread else [])]
        )
        return [] if self.message is None or environ["REQUEST_METHOD"] == "HEAD" else [self.encode_body()]

    def encode_body(self) -> bytes:
        return self.page if self.page is not None else orjson.dumps({"error": self.message, "message": self.message})


Rule = Callable[[Environ], HttpResponse | None]
"""Returns the response to a request that is refused, None for a request that may pass."""


def build_security_headers(policy: str = _DENY_ALL_POLICY, *, cross_origin: bool = False) -> Headers:
    """Return the security headers. `cross_origin`: pages of other origins may read the responses."""
    sharing = ("Vary", "Origin") if cross_origin else ("Cross-Origin-Resource-Policy", "same-origin")
    return (*_COMMON_HEADERS, ("Content-Security-Policy", policy), sharing)


def content_security_policy(*pages: str) -> str:
    """Return the Content-Security-Policy that allows the inline styles and scripts of these pages by hash.

    Anything else is blocked, for example a script in a device's name. The pages may connect to this service only.
    """
    allowed: dict[str, list[str]] = {"style": [], "script": []}
    for kind, text in (found for page in pages for found in _INLINE_ELEMENT.findall(page)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        allowed[kind].append(f"'sha256-{digest}'")
    sources = [f"{kind}-src {' '.join(dict.fromkeys(hashes))}" for kind, hashes in allowed.items() if hashes]
    return "; ".join([_DENY_ALL_POLICY, "connect-src 'self'", *sources])
