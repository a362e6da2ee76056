"""The client address and scheme of a request that comes through trusted proxies."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from app.security.responses import Environ, HttpResponse

Network = IPv4Network | IPv6Network
_SCHEMES = ("http", "https")


class TrustedProxies:
    """Applies X-Forwarded-For and X-Forwarded-Proto from proxies in these networks. Other peers could forge them."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = tuple(networks)

    def __call__(self, environ: Environ) -> HttpResponse | None:
        """Replace REMOTE_ADDR, the proxy, by the client's address. Refuses no request."""
        if self._networks and self._is_trusted(environ.get("REMOTE_ADDR", "")):
            environ["REMOTE_ADDR"] = self._find_client_address(environ)
            scheme = environ.get("HTTP_X_FORWARDED_PROTO", "").rpartition(",")[2].strip().lower()
            if scheme in _SCHEMES:
                environ["wsgi.url_scheme"] = scheme
        return None

    def _find_client_address(self, environ: Environ) -> str:
        """Return the rightmost hop that is not a trusted proxy: the client could have forged those left of it."""
        last = str(environ["REMOTE_ADDR"])
        for hop in reversed(environ.get("HTTP_X_FORWARDED_FOR", "").split(",")):
            address = _parse_address(hop)
            if address is None:
                return last
            last = str(address)
            if not self._is_trusted(last):
                return last
        return last

    def _is_trusted(self, peer: str) -> bool:
        address = _parse_address(peer)
        return address is not None and any(address in network for network in self._networks)


def _parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Parse an address with or without port and brackets. An IPv4-mapped IPv6 address becomes IPv4."""
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
