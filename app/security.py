"""Who may talk to the service from a browser: outside Flask and Socket.IO both, since Engine.IO answers
before Flask would.

A page on another site can send a request here and cannot be told from the frontend but by two headers:
`Host`, which it cannot choose unless it owns a name that resolves to us (DNS rebinding), and `Origin`,
which the browser sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import orjson

Wsgi = Callable[..., Iterable[bytes]]


class BrowserGuard:
    """The allow-lists for Host (400) and Origin (403). Names that the public DNS cannot hold need not be
    listed."""

    def __init__(self, hosts: Iterable[str], origins: Iterable[str]) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)

    def wrap(self, application: Wsgi) -> Wsgi:
        def guarded(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            refusal = self.refusal(environ)
            return application(environ, start_response) if refusal is None else _refuse(start_response, *refusal)

        return guarded

    def refusal(self, environ: dict[str, Any]) -> tuple[str, str] | None:
        """Status line and sentence for a request that must not pass; None for one that may."""
        if not self.host_allowed(environ.get("HTTP_HOST", "")):
            return "400 BAD REQUEST", "This name is not one of this service's; add it to ALLOWED_HOSTS"
        if not self.origin_allowed(environ.get("HTTP_ORIGIN"), environ):
            return "403 FORBIDDEN", "Pages of this origin may not use this service; add it to ALLOWED_ORIGINS"
        return None

    def host_allowed(self, host: str) -> bool:
        """IP literals, `localhost`, names without a dot, `*.local`, and what is listed. HTTP/1.0 probes
        send none."""
        name = _name(host)
        return not host or name in self._hosts or "." not in name or name.endswith(".local") or _is_ip(name)

    def origin_allowed(self, origin: str | None, environ: dict[str, Any]) -> bool:
        """None (no browser, or the same origin), the host that was asked (by us or by the proxy in front),
        or listed."""
        if origin is None or origin.lower() in self._origins:
            return True
        asked = (environ.get("HTTP_HOST", ""), environ.get("HTTP_X_FORWARDED_HOST", "").split(",")[0].strip())
        own = urlsplit(origin).netloc.lower()
        return bool(own) and any(own == host.lower() and self.host_allowed(host) for host in asked if host)


def _name(host: str) -> str:
    """Without port and brackets; an unbracketed colon twice is an IPv6 literal."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower() if host.count(":") == 1 else host.lower()


def _is_ip(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _refuse(start_response: Any, status: str, sentence: str) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "application/json")])
    return [orjson.dumps({"error": sentence, "message": sentence})]
