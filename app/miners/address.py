"""Parsed addresses of miners, and the rule for the addresses that may be contacted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from app.errors import AddressForbidden, Invalid

DEFAULT_PORT = 80


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """A canonical IPv4 address and a port. IPv4 only: the firmware refuses IPv6 peers."""

    host: str
    port: int = DEFAULT_PORT

    def __str__(self) -> str:
        return self.host if self.port == DEFAULT_PORT else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """Parse `192.168.1.5` or `192.168.1.5:8101`. Raises Invalid for anything else.

        `ipaddress` decides: libc would also accept `127.1` or `0x7f000001`, which evades rules about networks.
        """
        host, colon, port = text.strip().partition(":")
        try:
            canonical = str(IPv4Address(host))
        except ValueError:
            raise Invalid(f"{text!r} is not an IPv4 address", {"ip": ["Not an IPv4 address."]}) from None
        if not colon:
            return cls(canonical)
        if not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65535):
            raise Invalid(f"{text!r} has no valid port", {"ip": ["Not a valid port."]})
        return cls(canonical, int(port))


UNUSABLE_ADDRESS = Address("0.0.0.0")
"""The address of a device whose record has no valid one. No AddressRule allows it."""


def parse_stored_address(text: str) -> Address:
    """Return the address in a stored record, or UNUSABLE_ADDRESS: a device without a valid address is still loaded."""
    try:
        return Address.parse(text)
    except Invalid:
        return UNUSABLE_ADDRESS


class AddressRule:
    """The addresses that devices may have: ALLOWED_DEVICE_NETWORKS and DISCOVERY_PORTS. Checked at every connect."""

    def __init__(self, networks: Iterable[IPv4Network], ports: Iterable[int] = ()) -> None:
        self._networks = tuple(networks)
        self._ports = frozenset(ports) | {DEFAULT_PORT}

    def is_allowed(self, host: str) -> bool:
        """Return True if `host` is in an allowed network. Multicast addresses and 0.0.0.0 never are."""
        ip = IPv4Address(host)
        return not (ip.is_multicast or ip.is_unspecified) and any(ip in network for network in self._networks)

    def check_address(self, address: Address) -> Address:
        """Return the address. Raises AddressForbidden."""
        if not self.is_allowed(address.host):
            raise AddressForbidden(
                f"{address.host} is outside the networks of miners; add it to ALLOWED_DEVICE_NETWORKS",
                {"ip": ["Outside ALLOWED_DEVICE_NETWORKS."]},
            )
        return address

    def check_requested_address(self, address: Address) -> Address:
        """Return an address from a request, whose port must be a scanned one too. Raises AddressForbidden."""
        if address.port not in self._ports:
            raise AddressForbidden(
                f"port {address.port} is not one where miners are looked for; add it to DISCOVERY_PORTS",
                {"ip": ["The port is not in DISCOVERY_PORTS."]},
            )
        return self.check_address(address)
