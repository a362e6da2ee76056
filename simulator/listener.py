"""A listening socket that can be closed and opened again on the same address, as at a restart of a device.

It owns the socket and its event watcher and passes each accepted socket to a callback. It needs no greenlet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gevent import get_hub
from gevent import socket as gsocket

READABLE = 1
BACKLOG = 5  # as in esp_http_server

Address = tuple[str, int]


class Listener:
    """All methods may be called repeatedly and in any order."""

    __slots__ = ("_address", "_on_accept", "_socket", "_watcher", "_reserved")

    def __init__(self, address: Address, on_accept: Callable[[gsocket.socket, Address], None]) -> None:
        self._address = address
        self._on_accept = on_accept
        self._socket: gsocket.socket | None = None
        self._watcher: Any = None
        # Port 0: a bound socket that never listens reserves the port while the listener is closed.
        self._reserved = _bind_socket(address) if address[1] == 0 else None
        if self._reserved is not None:
            self._address = self._reserved.getsockname()

    @property
    def address(self) -> Address:
        """Host and port; port 0 is resolved."""
        return self._address

    def open(self) -> None:
        """Listen and accept connections."""
        if self._socket is None:
            self._socket = _bind_socket(self._address)
            self._socket.listen(BACKLOG)
            self._socket.settimeout(0.0)
            self._watcher = get_hub().loop.io(self._socket.fileno(), READABLE)
        self.resume_accepting()

    def resume_accepting(self) -> None:
        """Accept connections again after `pause_accepting`."""
        if self._watcher is not None:
            self._watcher.start(self._accept_connection)

    def pause_accepting(self) -> None:
        """Leave new connections in the backlog."""
        if self._watcher is not None:
            self._watcher.stop()

    def close(self) -> None:
        """Refuse connections from now on."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def release_port(self) -> None:
        """Close for good and release the port."""
        self.close()
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None

    def _accept_connection(self) -> None:
        """Accept one connection. This runs in the hub and must not block, hence the zero timeout."""
        if self._socket is None:
            return
        try:
            client, peer = self._socket.accept()
        except OSError:
            return
        client.settimeout(None)
        self._on_accept(client, peer)


def _bind_socket(address: Address) -> gsocket.socket:
    sock = gsocket.socket(gsocket.AF_INET, gsocket.SOCK_STREAM)
    sock.setsockopt(gsocket.SOL_SOCKET, gsocket.SO_REUSEADDR, 1)
    try:
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"{address[0]}:{address[1]}: {error.strerror}") from error
    return sock
