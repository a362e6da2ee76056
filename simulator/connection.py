"""One accepted socket of a miner: reads requests, lets the miner answer them, writes the answers.

Keep-alive as esp_http_server does it: the connection stays open until the client closes it, whatever
`Connection` the client sends; NerdOS closes after each answer. Owns its greenlet and its socket.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

import gevent
import httptools
from gevent import socket as gsocket

from .http import Reply, Request, RequestReader

if TYPE_CHECKING:
    from .miner import Miner

RECEIVE_BYTES = 4096
LINGER_RESET = struct.pack("ii", 1, 0)


class _Frozen(gevent.GreenletExit):  # type: ignore[misc]  # gevent has no types
    """Ends a connection's greenlet and leaves its socket as it is."""


class Connection:
    """`last_used` orders the sockets for the purge: bytes that arrive refresh it, bytes sent do not."""

    __slots__ = (
        "miner",
        "last_used",
        "peer",
        "_socket",
        "_greenlet",
        "_reader",
        "_open",
        "_on_bytes",
        "_on_close",
    )

    def __init__(self, miner: Miner, sock: gsocket.socket, peer: tuple[str, int]) -> None:
        self.miner = miner
        self.peer = peer
        self.last_used = miner.door.next_use()
        self._on_bytes: Callable[[bytes], None] | None = None
        self._on_close: Callable[[], None] | None = None
        self._socket = sock
        self._reader = RequestReader()
        self._open = True
        sock.setsockopt(gsocket.IPPROTO_TCP, gsocket.TCP_NODELAY, 1)
        self._greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        try:
            while self._open:
                data = self._socket.recv(RECEIVE_BYTES)
                if not data:
                    break
                self.last_used = self.miner.door.next_use()
                self._take(data)
        except _Frozen:
            return
        except (OSError, httptools.HttpParserError):
            pass
        self.close()

    def _take(self, data: bytes) -> None:
        if self._on_bytes is not None:
            self._on_bytes(data)
            return
        for request in self._reader.feed(data):
            self.miner.answer(self, request)

    def send(self, data: bytes) -> None:
        """Write all of `data`; raises OSError when the peer is gone."""
        self._socket.sendall(data)

    def send_reply(self, reply: Reply, request: Request) -> None:
        """Write a whole answer in one go, and close if this firmware does."""
        close = self.miner.generation.closes or reply.close
        body = b"" if request.method == "HEAD" else reply.payload()
        self.send(reply.head(close=close) + body)
        if reply.after is not None:
            reply.after()
        if close:
            self.close()

    def upgrade(self, on_bytes: Callable[[bytes], None], on_close: Callable[[], None]) -> None:
        """From now on every received byte goes to `on_bytes` (websocket); `on_close` is called once at the
        end."""
        self._on_bytes, self._on_close = on_bytes, on_close

    def shrink_buffer(self, size: int) -> None:
        """A send buffer as small as a microcontroller's, so that a client that does not read is felt."""
        self._socket.setsockopt(gsocket.SOL_SOCKET, gsocket.SO_SNDBUF, size)

    def drain(self) -> None:
        """Read and drop until the peer closes."""
        while self._socket.recv(RECEIVE_BYTES):
            pass

    @property
    def is_open(self) -> bool:
        """Whether the socket is still ours."""
        return self._open

    def reset(self) -> None:
        """Close with a RST, as a device that lost its memory answers."""
        if self._open:
            self._socket.setsockopt(gsocket.SOL_SOCKET, gsocket.SO_LINGER, LINGER_RESET)
        self.close()

    def close(self) -> None:
        """Close the socket and end the greenlet. Idempotent."""
        if not self._open:
            return
        self._open = False
        self._socket.close()
        self.miner.door.forget(self)
        if self._on_close is not None:
            self._on_close()
        if gevent.getcurrent() is not self._greenlet:
            self._greenlet.kill(block=False)

    def freeze(self) -> None:
        """The device lost power: nothing is sent any more, not even a FIN. `reset` ends it later."""
        self._greenlet.kill(block=False, exception=_Frozen)

    def join(self, timeout: float) -> None:
        """Wait until the greenlet is dead."""
        if gevent.getcurrent() is not self._greenlet:
            self._greenlet.join(timeout)
