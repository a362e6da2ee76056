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

from app.security.responses import Environ, Headers, HttpResponse

_HOST_PATTERN = re.compile(r"(\[[0-9a-f:.]+\]|[0-9a-z._-]*)(:[0-9]{1,5})?|[0-9a-f:.]+", re.IGNORECASE)
_FOREIGN_HOST = HttpResponse("400 BAD REQUEST", "This name is not one of this service's; add it to ALLOWED_HOSTS")
_FOREIGN_ORIGIN = HttpResponse(
    "403 FORBIDDEN", "Pages of this origin may not use this service; add it to ALLOWED_ORIGINS"
)
_FOREIGN_FORWARDED_HOST = HttpResponse(
    "403 FORBIDDEN",
    "The proxy was asked under a name that is not one of this service's (X-Forwarded-Host); add it to ALLOWED_HOSTS",
)
_FOREIGN_SITE = HttpResponse(
    "403 FORBIDDEN", "Pages of other sites may not use this service; add theirs to ALLOWED_ORIGINS"
)
_PREFLIGHT = HttpResponse(
    "204 NO CONTENT",
    headers=(
        ("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE"),
        ("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key"),
        ("Access-Control-Max-Age", "600"),
    ),
)


class OriginCheck:
    """Applies the allow-lists for Host (400) and Origin (403). Names that cannot exist in the public DNS are allowed
    without being listed."""

    def __init__(self, hosts: Iterable[str], origins: Iterable[str]) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)

    def __call__(self, environ: Environ) -> HttpResponse | None:
        origin = environ.get("HTTP_ORIGIN")
        if not self.is_host_allowed(environ.get("HTTP_HOST", "")):
            return _FOREIGN_HOST
        if not self.is_origin_allowed(origin, environ):
            return (
                _FOREIGN_FORWARDED_HOST if _parse_netloc(str(origin)) in _requested_hosts(environ) else _FOREIGN_ORIGIN
            )
        if environ.get("HTTP_SEC_FETCH_SITE", "").lower() == "cross-site" and not (
            self.is_origin_listed(origin) or _is_link_navigation(environ)
        ):
            return _FOREIGN_SITE
        is_preflight = environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
        return _PREFLIGHT if is_preflight and self.is_origin_listed(origin) else None

    def is_host_allowed(self, host: str) -> bool:
        """Return True for IP literals, names without a dot, `*.local`, listed names, and no name (HTTP/1.0 probes)."""
        if not _HOST_PATTERN.fullmatch(host):
            return False
        name = _parse_host_name(host)
        return name in self._hosts or "." not in name or name.endswith(".local") or _is_ip_address(name)

    def is_origin_allowed(self, origin: str | None, environ: Environ) -> bool:
        """Return True for no origin (no browser, or same origin), the requested host (ours or the proxy's), and listed
        origins."""
        if origin is None or self.is_origin_listed(origin):
            return True
        own = _parse_netloc(origin)
        return own in _requested_hosts(environ) and self.is_host_allowed(own)

    def is_origin_listed(self, origin: str | None) -> bool:
        return origin is not None and origin.lower() in self._origins

    def build_cors_headers(self, environ: Environ) -> Headers:
        """Return the CORS headers for a listed origin. They allow no credentials: the service has no cookies."""
        origin = environ.get("HTTP_ORIGIN")
        if not self.is_origin_listed(origin):
            return ()
        return (
            ("Access-Control-Allow-Origin", str(origin)),
            ("Access-Control-Expose-Headers", "Retry-After"),
        )


def _requested_hosts(environ: Environ) -> list[str]:
    """Return the requested hosts, of this service and of the proxy before it, in lower case."""
    asked = environ.get("HTTP_HOST", ""), environ.get("HTTP_X_FORWARDED_HOST", "").split(",")[0].strip()
    return [host.lower() for host in asked if host]


def _is_link_navigation(environ: Environ) -> bool:
    """Return True if the user followed a link: the response replaces the page, which cannot read it."""
    mode, destination = environ.get("HTTP_SEC_FETCH_MODE"), environ.get("HTTP_SEC_FETCH_DEST")
    return environ["REQUEST_METHOD"] in ("GET", "HEAD") and (mode, destination) == ("navigate", "document")


def _parse_netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:  # `http://[`
        return ""


def _parse_host_name(host: str) -> str:
    """Return the host without port and brackets. Two colons without brackets are an IPv6 literal."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower() if host.count(":") == 1 else host.lower()


def _is_ip_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
