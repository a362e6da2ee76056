"""One websocket of a miner. Frames go out raw, because the firmware's text frames are not always valid
UTF-8; what comes in is read by wsproto: pings are answered, a close is answered, everything else is
drained and ignored."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

import gevent
from gevent import lock
from wsproto.connection import Connection as Protocol
from wsproto.connection import ConnectionType
from wsproto.events import CloseConnection, Ping
from wsproto.utilities import ProtocolError

from .http import Request

if TYPE_CHECKING:
    from .connection import Connection

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SEND_SECONDS = 5.0
SEND_BUFFER = 5744  # lwip's default send window
TEXT_FRAME = 0x81


def accept_head(request: Request) -> bytes:
    """The 101 that opens the websocket."""
    key = request.headers.get("sec-websocket-key", "").encode()
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
    lines = ("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade")
    return "\r\n".join((*lines, f"Sec-WebSocket-Accept: {accept}", "", "")).encode()


def text_frame(payload: bytes) -> bytes:
    """One unmasked, unfragmented text frame."""
    size = len(payload)
    if size < 126:
        return bytes((TEXT_FRAME, size)) + payload
    if size < 65536:
        return struct.pack(">BBH", TEXT_FRAME, 126, size) + payload
    return struct.pack(">BBQ", TEXT_FRAME, 127, size) + payload


class WebSocket:
    """An open websocket over `connection`; `closed` is called once when it ends."""

    def __init__(self, connection: Connection, request: Request, closed: Callable[[WebSocket], None]) -> None:
        self._connection = connection
        self._closed = closed
        self._protocol = Protocol(ConnectionType.SERVER)
        self._sending = lock.BoundedSemaphore(1)
        connection.upgrade(self._received, self._ended)
        connection.shrink_buffer(SEND_BUFFER)
        connection.send(accept_head(request))

    @property
    def is_open(self) -> bool:
        """Whether frames can still be sent."""
        return self._connection.is_open

    def send_text(self, payload: bytes) -> None:
        """Send one text frame; a client that does not read is dropped after five seconds, in which the
        device's one HTTP task does nothing else."""
        with self._connection.miner.busy:
            self._send(text_frame(payload))

    def _send(self, data: bytes) -> None:
        try:
            with self._sending, gevent.Timeout(SEND_SECONDS):
                self._connection.send(data)
        except (OSError, gevent.Timeout):
            self._connection.reset()

    def _received(self, data: bytes) -> None:
        try:
            self._protocol.receive_data(data)
            for event in self._protocol.events():
                if isinstance(event, Ping):
                    self._send(self._protocol.send(event.response()))
                elif isinstance(event, CloseConnection):
                    self._send(self._protocol.send(event.response()))
                    self._connection.close()
        except ProtocolError:
            self._connection.close()

    def close(self) -> None:
        """Drop the socket."""
        self._connection.close()

    def _ended(self) -> None:
        self._closed(self)
