"""Websockets: how they are asked for, and how large and how many their messages may be. gevent-websocket sets no
bounds."""

from __future__ import annotations

import re
import time
from typing import Any

from geventwebsocket.exceptions import ProtocolError
from geventwebsocket.websocket import WebSocket

from app.security.answers import Environ
from app.security.limits import Bucket

MESSAGE_BYTES = 64 * 1024
# Frames of one websocket. A token is a frame or a KiB: gevent-websocket unmasks in Python.
FRAME_BURST = 1500.0
FRAME_RATE = 200.0
_KEY = re.compile("[A-Za-z0-9+/]{22}==")


def asks_properly(environ: Environ) -> bool:
    """Whether the handshake is one that gevent-websocket can answer without a warning or a traceback."""
    return (
        environ.get("HTTP_UPGRADE", "").lower() == "websocket"
        and "upgrade" in environ.get("HTTP_CONNECTION", "").lower()
        and environ.get("HTTP_SEC_WEBSOCKET_VERSION") == "13"
        and _KEY.fullmatch(environ.get("HTTP_SEC_WEBSOCKET_KEY", "")) is not None
    )


class Frames:
    """What gevent-websocket reads from and writes to. It reads as much as a frame says it has."""

    def __init__(self, handler: Any) -> None:
        self._file = handler.rfile
        self.write = handler.socket.sendall

    def read(self, size: int) -> bytes:
        if size > MESSAGE_BYTES:
            raise ProtocolError("frame too large")
        data: bytes = self._file.read(size)
        return data


class BoundedWebSocket(WebSocket):  # type: ignore[misc]  # gevent-websocket has no types
    """Small messages, not too many of them, and an end that is one: a peer that is gone does not answer a goodbye."""

    def __init__(self, environ: Any, stream: Any, handler: Any) -> None:
        super().__init__(environ, stream, handler)
        self._bucket = Bucket(time.monotonic)
        self._size = 0

    def read_frame(self) -> Any:
        header, payload = super().read_frame()
        if header.opcode <= self.OPCODE_BINARY:
            self._size = len(payload) + (self._size if header.opcode == self.OPCODE_CONTINUATION else 0)
        if self._size > MESSAGE_BYTES or self._bucket.take(FRAME_BURST, FRAME_RATE, 1 + len(payload) / 1024):
            raise ProtocolError("too much at once")
        return header, payload

    def close(self, code: int = 1000, message: bytes = b"") -> None:
        if not self.closed:
            super().close(code, message)
            self.handler.end()
