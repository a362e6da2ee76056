"""Checks the Host and Origin of a request, against cross-site requests and DNS rebinding.

A page of another site can send requests to this service from a browser. Only headers that the browser sets distinguish
them from the frontend's: `Host` (a page can choose it only with a name that resolves to our address: DNS rebinding),
`Origin`, and, over https or on localhost, `Sec-Fetch-Site`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from app.security.answers import Answer, Environ, Headers

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[0-9a-z._-]*)(:[0-9]{1,5})?|[0-9a-f:.]+", re.IGNORECASE)
_FOREIGN_HOST = Answer("400 BAD REQUEST", "This name is not one of this service's; add it to ALLOWED_HOSTS")
_FOREIGN_ORIGIN = Answer("403 FORBIDDEN", "Pages of this origin may not use this service; add it to ALLOWED_ORIGINS")
_FOREIGN_FORWARDED_HOST = Answer(
    "403 FORBIDDEN",
    "The proxy was asked under a name that is not one of this service's (X-Forwarded-Host); add it to ALLOWED_HOSTS",
)
_FOREIGN_SITE = Answer("403 FORBIDDEN", "Pages of other sites may not use this service; add theirs to ALLOWED_ORIGINS")
_PREFLIGHT = Answer(
    "204 NO CONTENT",
    headers=(
        ("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE"),
        ("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key"),
        ("Access-Control-Max-Age", "600"),
    ),
)


class BrowserGuard:
    """Applies the allow-lists for Host (400) and Origin (403). Names that cannot exist in the public DNS are allowed
    without being listed."""

    def __init__(self, hosts: Iterable[str], origins: Iterable[str]) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)

    def __call__(self, environ: Environ) -> Answer | None:
        origin = environ.get("HTTP_ORIGIN")
        if not self.host_allowed(environ.get("HTTP_HOST", "")):
            return _FOREIGN_HOST
        if not self.origin_allowed(origin, environ):
            return _FOREIGN_FORWARDED_HOST if _netloc(str(origin)) in _asked_hosts(environ) else _FOREIGN_ORIGIN
        if environ.get("HTTP_SEC_FETCH_SITE", "").lower() == "cross-site" and not (
            self.is_listed(origin) or _follows_a_link(environ)
        ):
            return _FOREIGN_SITE
        is_preflight = environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
        return _PREFLIGHT if is_preflight and self.is_listed(origin) else None

    def host_allowed(self, host: str) -> bool:
        """Return True for IP literals, names without a dot, `*.local`, listed names, and no name (HTTP/1.0 probes)."""
        if not _HOST.fullmatch(host):
            return False
        name = _name(host)
        return name in self._hosts or "." not in name or name.endswith(".local") or _is_ip(name)

    def origin_allowed(self, origin: str | None, environ: Environ) -> bool:
        """Return True for no origin (no browser, or same origin), the requested host (ours or the proxy's), and listed
        origins."""
        if origin is None or self.is_listed(origin):
            return True
        own = _netloc(origin)
        return own in _asked_hosts(environ) and self.host_allowed(own)

    def is_listed(self, origin: str | None) -> bool:
        return origin is not None and origin.lower() in self._origins

    def cors_headers(self, environ: Environ) -> Headers:
        """Return the CORS headers for a listed origin. They allow no credentials: the service has no cookies."""
        origin = environ.get("HTTP_ORIGIN")
        if not self.is_listed(origin):
            return ()
        return (
            ("Access-Control-Allow-Origin", str(origin)),
            ("Access-Control-Expose-Headers", "Retry-After"),
        )


def _asked_hosts(environ: Environ) -> list[str]:
    """Return the requested hosts, of this service and of the proxy before it, in lower case."""
    asked = environ.get("HTTP_HOST", ""), environ.get("HTTP_X_FORWARDED_HOST", "").split(",")[0].strip()
    return [host.lower() for host in asked if host]


def _follows_a_link(environ: Environ) -> bool:
    """Return True if the user followed a link: the response replaces the page, which cannot read it."""
    mode, destination = environ.get("HTTP_SEC_FETCH_MODE"), environ.get("HTTP_SEC_FETCH_DEST")
    return environ["REQUEST_METHOD"] in ("GET", "HEAD") and (mode, destination) == ("navigate", "document")


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:  # `http://[`
        return ""


def _name(host: str) -> str:
    """Return the host without port and brackets. Two colons without brackets are an IPv6 literal."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower() if host.count(":") == 1 else host.lower()


def _is_ip(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
