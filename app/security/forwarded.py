"""Whose request it is, when proxies stand in between."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from app.security.answers import Answer, Environ

Network = IPv4Network | IPv6Network
_SCHEMES = ("http", "https")


class TrustedProxies:
    """X-Forwarded-For and -Proto count only from proxies in these networks; anybody else writes there what he likes."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = tuple(networks)

    def __call__(self, environ: Environ) -> Answer | None:
        """Puts the client in the place of the proxy (REMOTE_ADDR). Refuses nobody."""
        if self._networks and self._trusts(environ.get("REMOTE_ADDR", "")):
            environ["REMOTE_ADDR"] = self._client(environ)
            scheme = environ.get("HTTP_X_FORWARDED_PROTO", "").rpartition(",")[2].strip().lower()
            if scheme in _SCHEMES:
                environ["wsgi.url_scheme"] = scheme
        return None

    def _client(self, environ: Environ) -> str:
        """The rightmost hop that no trusted proxy is: what stands left of it, the client may have written itself."""
        last = str(environ["REMOTE_ADDR"])
        for hop in reversed(environ.get("HTTP_X_FORWARDED_FOR", "").split(",")):
            address = _parsed(hop)
            if address is None:
                return last
            last = str(address)
            if not self._trusts(last):
                return last
        return last

    def _trusts(self, peer: str) -> bool:
        address = _parsed(peer)
        return address is not None and any(address in network for network in self._networks)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """An address, perhaps with a port or in brackets. An IPv4 one that came over an IPv6 socket is IPv4."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
