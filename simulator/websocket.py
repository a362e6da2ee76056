"""One websocket of a miner.

Frames are sent as raw bytes, because the text frames of the firmware are not always valid UTF-8. wsproto reads the
input: pings and closes are answered, other frames are read and ignored.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Callable

import gevent
from gevent import lock
from wsproto.connection import Connection as Protocol
from wsproto.connection import ConnectionType
from wsproto.events import CloseConnection, Ping
from wsproto.utilities import ProtocolError

from .connection import Connection
from .http_messages import Request

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SEND_SECONDS = 5.0
SEND_BUFFER = 5744  # default send window of lwIP
TEXT_FRAME = 0x81


def encode_upgrade(request: Request) -> bytes:
    """Return the 101 response that opens the websocket."""
    key = request.headers.get("sec-websocket-key", "").encode()
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
    lines = ("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade")
    return "\r\n".join((*lines, f"Sec-WebSocket-Accept: {accept}", "", "")).encode()


def encode_text_frame(payload: bytes) -> bytes:
    """Return one unmasked, unfragmented text frame."""
    size = len(payload)
    if size < 126:
        return bytes((TEXT_FRAME, size)) + payload
    if size < 65536:
        return struct.pack(">BBH", TEXT_FRAME, 126, size) + payload
    return struct.pack(">BBQ", TEXT_FRAME, 127, size) + payload


class WebSocket:
    """An open websocket. `request_lock` is held for each frame; `on_close` is called once at the end."""

    def __init__(
        self,
        connection: Connection,
        request: Request,
        request_lock: lock.BoundedSemaphore,
        on_close: Callable[[WebSocket], None],
    ) -> None:
        self._connection = connection
        self._request_lock = request_lock
        self._on_close = on_close
        self._protocol = Protocol(ConnectionType.SERVER)
        self._send_lock = lock.BoundedSemaphore(1)
        connection.upgrade_to_websocket(self._handle_bytes, self._handle_close)
        connection.shrink_send_buffer(SEND_BUFFER)
        connection.send_bytes(encode_upgrade(request))

    @property
    def is_open(self) -> bool:
        """True while frames can be sent."""
        return self._connection.is_open

    def send_text(self, payload: bytes) -> None:
        """Send one text frame.

        A client that does not read is closed after five seconds. In that time the one HTTP task of the device serves
        no other client.
        """
        with self._request_lock:
            self._send_frame(encode_text_frame(payload))

    def _send_frame(self, data: bytes) -> None:
        try:
            with self._send_lock, gevent.Timeout(SEND_SECONDS):
                self._connection.send_bytes(data)
        except (OSError, gevent.Timeout):
            self._connection.reset()

    def _handle_bytes(self, data: bytes) -> None:
        try:
            self._protocol.receive_data(data)
            for event in self._protocol.events():
                if isinstance(event, Ping):
                    self._send_frame(self._protocol.send(event.response()))
                elif isinstance(event, CloseConnection):
                    self._send_frame(self._protocol.send(event.response()))
                    self._connection.close()
        except ProtocolError:
            self._connection.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _handle_close(self) -> None:
        self._on_close(self)
