"""The default subnets of a scan: the networks of this host."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import ifaddr

from app.settings import PRIVATE_NETWORKS

WIDEST_PREFIX = 22
USUAL_PREFIX = 24

# Interfaces without miners: containers, virtual machines and tunnels.
_VIRTUAL = ("lo", "docker*", "br-*", "veth*", "virbr*", "podman*", "cni*", "flannel*")
_TUNNELS = ("tun*", "tap*", "wg*", "tailscale*", "zt*")
_PRIVATE = tuple(IPv4Network(network) for network in PRIVATE_NETWORKS)

Interfaces = Callable[[], Iterable[ifaddr.Adapter]]


def own_addresses(interfaces: Interfaces | None = None) -> tuple[IPv4Interface, ...]:
    """Return the host's own RFC 1918 addresses with their prefixes, each once, without virtual interfaces."""
    adapters = (interfaces or ifaddr.get_adapters)()
    real = (adapter for adapter in adapters if not _is_virtual(adapter.name))
    own = (IPv4Interface((str(ip.ip), ip.network_prefix)) for adapter in real for ip in adapter.ips if ip.is_IPv4)
    return tuple(dict.fromkeys(address for address in own if any(address.ip in network for network in _PRIVATE)))


def default_subnets(interfaces: Interfaces | None = None) -> tuple[IPv4Network, ...]:
    """Return the network of each own address if it is a /22 or smaller, else the /24 around the address; each once."""
    return tuple(dict.fromkeys(_network_to_scan(address) for address in own_addresses(interfaces)))


def network_around(ip: str) -> IPv4Network:
    """Return the /24 in which a miner that left `ip` is most likely found again."""
    return IPv4Network((IPv4Address(ip), USUAL_PREFIX), strict=False)


def _network_to_scan(address: IPv4Interface) -> IPv4Network:
    return address.network if address.network.prefixlen >= WIDEST_PREFIX else network_around(str(address.ip))


def _is_virtual(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in _VIRTUAL + _TUNNELS)
