"""Websocket handshakes, and limits on the size and rate of messages. gevent-websocket has no limits."""

from __future__ import annotations

import re
import time
from typing import Any

from geventwebsocket.exceptions import ProtocolError
from geventwebsocket.websocket import WebSocket

from app.security.rate_limits import TokenBucket
from app.security.responses import Environ

MAX_MESSAGE_BYTES = 64 * 1024
# Rate limit on the frames of one websocket. A frame costs 1 token and 1 per KiB: gevent-websocket unmasks in Python.
FRAME_BURST = 1500.0
FRAMES_PER_SECOND = 200.0
_KEY = re.compile("[A-Za-z0-9+/]{22}==")


def is_valid_handshake(environ: Environ) -> bool:
    """Return True if gevent-websocket can answer this handshake without a warning or a traceback."""
    return (
        environ.get("HTTP_UPGRADE", "").lower() == "websocket"
        and "upgrade" in environ.get("HTTP_CONNECTION", "").lower()
        and environ.get("HTTP_SEC_WEBSOCKET_VERSION") == "13"
        and _KEY.fullmatch(environ.get("HTTP_SEC_WEBSOCKET_KEY", "")) is not None
    )


class FrameStream:
    """The stream for gevent-websocket to read and write. Limits reads: gevent-websocket trusts a frame's length
    field."""

    def __init__(self, handler: Any) -> None:
        self._file = handler.rfile
        self.write = handler.socket.sendall

    def read(self, size: int) -> bytes:
        if size > MAX_MESSAGE_BYTES:
            raise ProtocolError("frame too large")
        data: bytes = self._file.read(size)
        return data


class BoundedWebSocket(WebSocket):  # type: ignore[misc]  # gevent-websocket has no types
    """A websocket with limits on message size and frame rate. `close` also shuts the socket down: a dead peer does not
    answer a close frame."""

    def __init__(self, environ: Any, stream: Any, handler: Any) -> None:
        super().__init__(environ, stream, handler)
        self._bucket = TokenBucket(time.monotonic)
        self._size = 0

    def read_frame(self) -> Any:
        header, payload = super().read_frame()
        if header.opcode <= self.OPCODE_BINARY:
            self._size = len(payload) + (self._size if header.opcode == self.OPCODE_CONTINUATION else 0)
        if self._size > MAX_MESSAGE_BYTES or self._bucket.consume_tokens(
            FRAME_BURST, FRAMES_PER_SECOND, 1 + len(payload) / 1024
        ):
            raise ProtocolError("too much at once")
        return header, payload

    def close(self, code: int = 1000, message: bytes = b"") -> None:
        if not self.closed:
            super().close(code, message)
            self.handler.shut_down_socket()
