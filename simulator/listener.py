"""A listening socket that can be closed and opened again on the same address, as a device's is over a reboot.

Owns the socket and its event watcher; hands each accepted socket to a callback. Costs no greenlet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gevent import get_hub
from gevent import socket as gsocket

READABLE = 1
BACKLOG = 5  # esp_http_server's own

Address = tuple[str, int]


class Listener:
    """`open`, `close`, `pause` and `resume` may be called in any order and repeatedly."""

    __slots__ = ("_address", "_accepted", "_socket", "_watcher", "_reserved")

    def __init__(self, address: Address, accepted: Callable[[gsocket.socket, Address], None]) -> None:
        self._address = address
        self._accepted = accepted
        self._socket: gsocket.socket | None = None
        self._watcher: Any = None
        # Port 0: a bound socket that never listens keeps the port ours while the listener is away.
        self._reserved = _bound(address) if address[1] == 0 else None
        if self._reserved is not None:
            self._address = self._reserved.getsockname()

    @property
    def address(self) -> Address:
        """Where it listens, the port resolved."""
        return self._address

    def open(self) -> None:
        """Listen and accept."""
        if self._socket is None:
            self._socket = _bound(self._address)
            self._socket.listen(BACKLOG)
            self._socket.settimeout(0.0)
            self._watcher = get_hub().loop.io(self._socket.fileno(), READABLE)
        self.resume()

    def resume(self) -> None:
        """Accept again after `pause`."""
        if self._watcher is not None:
            self._watcher.start(self._accept)

    def pause(self) -> None:
        """Leave callers in the backlog."""
        if self._watcher is not None:
            self._watcher.stop()

    def close(self) -> None:
        """Refuse callers from now on."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def release(self) -> None:
        """Close for good: the port goes back to the system."""
        self.close()
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None

    def _accept(self) -> None:
        """Runs in the hub: must not block, hence the zero timeout."""
        if self._socket is None:
            return
        try:
            client, peer = self._socket.accept()
        except OSError:
            return
        client.settimeout(None)
        self._accepted(client, peer)


def _bound(address: Address) -> gsocket.socket:
    sock = gsocket.socket(gsocket.AF_INET, gsocket.SOCK_STREAM)
    sock.setsockopt(gsocket.SOL_SOCKET, gsocket.SO_REUSEADDR, 1)
    try:
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"{address[0]}:{address[1]}: {error.strerror}") from error
    return sock
