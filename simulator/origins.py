"""The `Origin` check that nearly every handler does since AxeOS 2.5.1. The caller's own address is not
judged here: on a real device 127/8 would be refused, and everything here is loopback."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, ip_network

from .generations import Generation
from .http import Request

PRIVATE = tuple(ip_network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
ADDRESS = re.compile(r"\d+(\.\d+){3}")


def origin_allowed(generation: Generation, request: Request) -> bool:
    """≤ 2.14: exactly `http://<private IPv4>`. ≥ 2.15: names without a dot and `*.local` too, their port
    stripped, but an address with a port is still refused. NerdOS strips the port first."""
    origin = request.headers.get("origin")
    if origin is None or not generation.address_gate:
        return True
    host = origin.removeprefix("http://")
    if host == origin:
        return False
    name = host.partition(":")[0]
    if generation.nerd:
        return _private(name) or name == "localhost" or name.endswith(".local")
    if generation.since(2, 15) and not ADDRESS.fullmatch(name):
        return "." not in name or name.endswith(".local")
    return _private(host)


def _private(host: str) -> bool:
    try:
        address = IPv4Address(host)
    except ValueError:
        return False
    return any(address in net for net in PRIVATE)
