"""The door of one miner: its listener, the sockets behind it, and what happens when there are too many.

esp_http_server holds `limit` sockets. With LRU purge (AxeOS ≥ 2.10, NerdOS) a newcomer costs the one that
was used least recently its place; without, the device stops accepting until one closes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gevent import socket as gsocket

from .connection import Connection
from .listener import Address, Listener

if TYPE_CHECKING:
    from .miner import Miner


class Door:
    """Owns listener and connections of `miner`; closed until `open`."""

    def __init__(self, miner: Miner, address: Address, *, limit: int, purge: bool) -> None:
        self._miner = miner
        self._limit = limit
        self._purge = purge
        self._listener = Listener(address, self._admit)
        self._uses = 0
        self._frozen: list[Connection] = []
        self._is_open = False
        self.connections: set[Connection] = set()
        self.accepted = 0

    @property
    def address(self) -> Address:
        """Where it is, the port resolved."""
        return self._listener.address

    def open(self) -> None:
        """Let callers in. Idempotent."""
        self._is_open = True
        for connection in self._frozen:
            connection.reset()
        self._frozen.clear()
        self._listener.open()

    def shut(self, *, silent: bool = False) -> None:
        """Refuse callers and reset all sockets; `silent` leaves them hanging without a word until `open`."""
        self._is_open = False
        self._listener.close()
        for connection in list(self.connections):
            if silent:
                connection.freeze()
                self._frozen.append(connection)
                self.connections.discard(connection)
            else:
                connection.reset()

    def leave(self) -> Address:
        """Give the address back; returns it."""
        self.shut()
        self._listener.release()
        return self._listener.address

    def settle(self, address: Address) -> None:
        """Take another address; shut until `open`."""
        self._listener = Listener(address, self._admit)

    def demolish(self) -> None:
        """Close everything and wait for the greenlets."""
        ending = [*self.connections, *self._frozen]
        self.leave()
        for connection in ending:
            connection.reset()
            connection.join(1.0)
        self._frozen.clear()

    def next_use(self) -> int:
        """The session counter by which esp_http_server orders its sockets."""
        self._uses += 1
        return self._uses

    def forget(self, connection: Connection) -> None:
        """A connection closed: there is room again."""
        self.connections.discard(connection)
        if self._is_open:
            self._listener.resume()

    def _admit(self, sock: gsocket.socket, peer: Address) -> None:
        self.accepted += 1
        if self._purge and len(self.connections) >= self._limit:
            min(self.connections, key=lambda connection: connection.last_used).close()
        self.connections.add(Connection(self._miner, sock, peer))
        if not self._purge and len(self.connections) >= self._limit:
            self._listener.pause()
