"""The HTTP server of one miner: its listener, its open sockets, and its behaviour at the socket limit.

esp_http_server holds a limited number of sockets. With LRU purge (AxeOS ≥ 2.10, NerdOS) a new connection closes
the least recently used one; without it, the device stops accepting until a socket closes.
"""

from __future__ import annotations

from collections.abc import Callable

from gevent import socket as gsocket

from .connection import Connection
from .generations import Generation
from .http_messages import Request
from .listener import Address, Listener


class HttpServer:
    """Owns the listener and the connections of one miner; passes each request to `answer`. Closed until `open`."""

    def __init__(self, address: Address, generation: Generation, answer: Callable[[Connection, Request], None]) -> None:
        self._limit = generation.sockets
        self._purge = generation.purge
        self._answer = answer
        self._listener = Listener(address, self._add_connection)
        self._uses = 0
        self._frozen: list[Connection] = []
        self._is_open = False
        self.closes_after_reply = generation.closes
        self.connections: set[Connection] = set()
        self.accepted = 0

    @property
    def address(self) -> Address:
        """Host and port of the listener; port 0 is resolved."""
        return self._listener.address

    def open(self) -> None:
        """Accept connections. Idempotent."""
        self._is_open = True
        for connection in self._frozen:
            connection.reset()
        self._frozen.clear()
        self._listener.open()

    def close(self, *, silent: bool = False) -> None:
        """Refuse connections and reset all sockets; `silent` leaves them open without an answer until `open`."""
        self._is_open = False
        self._listener.close()
        for connection in list(self.connections):
            if silent:
                connection.stop_silently()
                self._frozen.append(connection)
                self.connections.discard(connection)
            else:
                connection.reset()

    def release_address(self) -> Address:
        """Close the server and release its address. Return the address."""
        self.close()
        self._listener.release_port()
        return self._listener.address

    def assign_address(self, address: Address) -> None:
        """Bind to another address; the server stays closed until `open`."""
        self._listener = Listener(address, self._add_connection)

    def stop(self) -> None:
        """Close everything and wait until the greenlets have ended."""
        ending = [*self.connections, *self._frozen]
        self.release_address()
        for connection in ending:
            connection.reset()
            connection.wait_for_end(1.0)
        self._frozen.clear()

    def count_use(self) -> int:
        """Return the next number of the counter by which esp_http_server orders its sockets."""
        self._uses += 1
        return self._uses

    def answer_request(self, connection: Connection, request: Request) -> None:
        """Answer one request over its connection."""
        self._answer(connection, request)

    def remove_connection(self, connection: Connection) -> None:
        """Remove a closed connection and accept another one in its place."""
        self.connections.discard(connection)
        if self._is_open:
            self._listener.resume_accepting()

    def _add_connection(self, sock: gsocket.socket, peer: Address) -> None:
        self.accepted += 1
        if self._purge and len(self.connections) >= self._limit:
            min(self.connections, key=lambda connection: connection.last_used).close()
        self.connections.add(Connection(self, sock, peer))
        if not self._purge and len(self.connections) >= self._limit:
            self._listener.pause_accepting()
