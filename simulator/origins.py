"""The `Origin` check of nearly every handler since AxeOS 2.5.1.

The address of the client is not checked: a real device would refuse 127/8, and the simulator runs on loopback.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, ip_network

from .generations import Generation
from .http_messages import Request

PRIVATE = tuple(ip_network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
ADDRESS = re.compile(r"\d+(\.\d+){3}")


def is_origin_allowed(generation: Generation, request: Request) -> bool:
    """Return True if the firmware accepts the `Origin` header.

    AxeOS ≤ 2.14 accepts exactly `http://<private IPv4>`. AxeOS ≥ 2.15 also accepts names without a dot and `*.local`,
    with or without a port, but still refuses an address with a port. NerdOS removes the port first.
    """
    origin = request.headers.get("origin")
    if origin is None or not generation.address_gate:
        return True
    host = origin.removeprefix("http://")
    if host == origin:
        return False
    name = host.partition(":")[0]
    if generation.nerd:
        return _is_private(name) or name == "localhost" or name.endswith(".local")
    if generation.is_at_least(2, 15) and not ADDRESS.fullmatch(name):
        return "." not in name or name.endswith(".local")
    return _is_private(host)


def _is_private(host: str) -> bool:
    try:
        address = IPv4Address(host)
    except ValueError:
        return False
    return any(address in net for net in PRIVATE)
