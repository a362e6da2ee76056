"""One accepted socket of a miner: reads requests and writes the answers.

A connection stays open until the client closes it, whatever `Connection` header the client sends, as in
esp_http_server. NerdOS closes it after each answer. Each connection owns its greenlet and its socket.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Protocol

import gevent
import httptools
from gevent import socket as gsocket

from .http_messages import Reply, Request, RequestReader

RECEIVE_BYTES = 4096
LINGER_RESET = struct.pack("ii", 1, 0)


class ConnectionOwner(Protocol):
    """The server of a connection, reduced to the members that a connection needs."""

    @property
    def closes_after_reply(self) -> bool:
        """True if the firmware closes the connection after each answer."""

    def count_use(self) -> int:
        """Return the next number of the counter that orders the sockets by their last use."""

    def answer_request(self, connection: Connection, request: Request) -> None:
        """Answer one request over its connection."""

    def remove_connection(self, connection: Connection) -> None:
        """Remove a closed connection."""


class _Frozen(gevent.GreenletExit):  # type: ignore[misc]  # gevent has no types
    """Ends a connection's greenlet and leaves its socket open."""


class Connection:
    """One connection. `last_used` orders the sockets for the purge: received bytes refresh it, sent bytes do not."""

    __slots__ = (
        "last_used",
        "peer",
        "_owner",
        "_socket",
        "_greenlet",
        "_reader",
        "_open",
        "_on_bytes",
        "_on_close",
    )

    def __init__(self, owner: ConnectionOwner, sock: gsocket.socket, peer: tuple[str, int]) -> None:
        self._owner = owner
        self.peer = peer
        self.last_used = owner.count_use()
        self._on_bytes: Callable[[bytes], None] | None = None
        self._on_close: Callable[[], None] | None = None
        self._socket = sock
        self._reader = RequestReader()
        self._open = True
        sock.setsockopt(gsocket.IPPROTO_TCP, gsocket.TCP_NODELAY, 1)
        self._greenlet = gevent.spawn(self._read_requests)

    def _read_requests(self) -> None:
        try:
            while self._open:
                data = self._socket.recv(RECEIVE_BYTES)
                if not data:
                    break
                self.last_used = self._owner.count_use()
                self._handle_bytes(data)
        except _Frozen:
            return
        except (OSError, httptools.HttpParserError):
            pass
        self.close()

    def _handle_bytes(self, data: bytes) -> None:
        if self._on_bytes is not None:
            self._on_bytes(data)
            return
        for request in self._reader.read_requests(data):
            self._owner.answer_request(self, request)

    def send_bytes(self, data: bytes) -> None:
        """Send all of `data`. Raises: OSError if the peer has closed the connection."""
        self._socket.sendall(data)

    def send_reply(self, reply: Reply, request: Request) -> None:
        """Send a whole answer at once, then close the connection if the firmware or the reply asks for it."""
        close = self._owner.closes_after_reply or reply.close
        body = b"" if request.method == "HEAD" else reply.encode_body()
        self.send_bytes(reply.encode_head(close=close) + body)
        if reply.after is not None:
            reply.after()
        if close:
            self.close()

    def upgrade_to_websocket(self, on_bytes: Callable[[bytes], None], on_close: Callable[[], None]) -> None:
        """Pass every byte received from now on to `on_bytes` (websocket); call `on_close` once at the end."""
        self._on_bytes, self._on_close = on_bytes, on_close

    def shrink_send_buffer(self, size: int) -> None:
        """Make the send buffer as small as a microcontroller's, so that a client that does not read blocks sending."""
        self._socket.setsockopt(gsocket.SOL_SOCKET, gsocket.SO_SNDBUF, size)

    def discard_input(self) -> None:
        """Read and drop bytes until the peer closes the connection."""
        while self._socket.recv(RECEIVE_BYTES):
            pass

    @property
    def is_open(self) -> bool:
        """True until the connection is closed on this side."""
        return self._open

    def reset(self) -> None:
        """Close the connection with a RST, as a device does that lost its memory."""
        if self._open:
            self._socket.setsockopt(gsocket.SOL_SOCKET, gsocket.SO_LINGER, LINGER_RESET)
        self.close()

    def close(self) -> None:
        """Close the socket and end the greenlet. Idempotent."""
        if not self._open:
            return
        self._open = False
        self._socket.close()
        self._owner.remove_connection(self)
        if self._on_close is not None:
            self._on_close()
        if gevent.getcurrent() is not self._greenlet:
            self._greenlet.kill(block=False)

    def stop_silently(self) -> None:
        """Stop sending, even a FIN, as a device does that lost power. `reset` closes the socket later."""
        self._greenlet.kill(block=False, exception=_Frozen)

    def wait_for_end(self, timeout: float) -> None:
        """Wait at most `timeout` seconds until the greenlet has ended."""
        if gevent.getcurrent() is not self._greenlet:
            self._greenlet.join(timeout)
