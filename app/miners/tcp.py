"""Open a TCP connection to a miner: check the address, connect within a timeout, translate the errors."""

from __future__ import annotations

from collections.abc import Callable

from gevent import socket

from app.errors import AddressForbidden, DeviceForbidden, DeviceUnreachable
from app.miners.address import Address


def open_connection(address: Address, check: Callable[[Address], object], timeout: float) -> socket.socket:
    """Return a connected socket without a timeout of its own. The address is an IP address, so there is no resolver.

    `check` raises AddressForbidden for an address that the configuration excludes. `timeout`: seconds for the
    connection to be established. Raises DeviceForbidden, DeviceUnreachable.
    """
    try:
        check(address)
    except AddressForbidden as error:
        raise DeviceForbidden(str(error)) from None
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        opened.settimeout(timeout)
        opened.connect((address.host, address.port))
        opened.settimeout(None)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        opened.close()
        raise DeviceUnreachable(f"{address} cannot be reached: {describe_os_error(error)}") from error
    except BaseException:  # such as a deadline's gevent.Timeout
        opened.close()
        raise
    return opened


def describe_os_error(error: OSError) -> str:
    """Return the reason of a failed socket call in lower case, such as "connection refused"."""
    return "timed out" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()
