"""Where a miner may be: parsed addresses, and the rule that says which of them are contacted at all."""

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
        """`192.168.1.5` or `192.168.1.5:8101`. Raises Invalid for anything else.

        Only what `ipaddress` accepts: libc would also take `127.1` or `0x7f000001`, past any rule about networks.
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


NOWHERE = Address("0.0.0.0")
"""The address of a device whose record names none that can be used. No rule ever allows it."""


def address_of_record(text: str) -> Address:
    """What a stored record names, or NOWHERE: a record that cannot be reached is still a device."""
    try:
        return Address.parse(text)
    except Invalid:
        return NOWHERE


class AddressRule:
    """Which addresses devices may have. Owns ALLOWED_DEVICE_NETWORKS and DISCOVERY_PORTS; asked again at every
    connect."""

    def __init__(self, networks: Iterable[IPv4Network], ports: Iterable[int] = ()) -> None:
        self._networks = tuple(networks)
        self._ports = frozenset(ports) | {DEFAULT_PORT}

    def allows(self, host: str) -> bool:
        """Multicast and 0.0.0.0 are refused even inside a named network."""
        ip = IPv4Address(host)
        return not (ip.is_multicast or ip.is_unspecified) and any(ip in network for network in self._networks)

    def check(self, address: Address) -> Address:
        """Returns the address, or raises AddressForbidden."""
        if not self.allows(address.host):
            raise AddressForbidden(
                f"{address.host} is outside the networks of miners; add it to ALLOWED_DEVICE_NETWORKS",
                {"ip": ["Outside ALLOWED_DEVICE_NETWORKS."]},
            )
        return address

    def check_given(self, address: Address) -> Address:
        """The rule for an address that a caller names: its port, too, must be one we scan."""
        if address.port not in self._ports:
            raise AddressForbidden(
                f"port {address.port} is not one where miners are looked for; add it to DISCOVERY_PORTS",
                {"ip": ["The port is not in DISCOVERY_PORTS."]},
            )
        return self.check(address)
