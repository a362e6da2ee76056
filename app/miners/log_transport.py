"""The transport of a log's websocket: a connection with a read deadline, and a frame parser with a size limit."""

from __future__ import annotations

import re

from gevent import socket
from websocket import frame_buffer

from app.clock import Clock
from app.errors import (
    DeviceBadPayload,
    DeviceDropped,
    DeviceError,
    DeviceLocked,
    DeviceRedirected,
    DeviceRefused,
    DeviceStatus,
    DeviceTooLarge,
    LogReadersFull,
)
from app.throttle import InputLimit, yield_if_due

MAX_FRAME = 64 * 1024
# What websocket-client exports or sets without documenting it, and we use: methods of `frame_buffer` and their
# parameters, attributes of its instances, and the attribute of `WebSocket` that holds one. None begins with an
# underscore. tests/unit/test_log_transport.py fails when a release changes one of them.
FRAME_BUFFER_METHODS = {
    "__init__": ("recv_fn", "skip_utf8_validation"),
    "recv_header": (),
    "recv_length": (),
    "recv_strict": ("bufsize",),
}
FRAME_BUFFER_ATTRIBUTES = ("recv", "recv_buffer", "length")
WEBSOCKET_ATTRIBUTES = ("frame_buffer", "connected")
_CHUNK = 64 * 1024
_SHORTEST_WAIT = 0.001
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})")
# Limits of the handshake's response. Real ones have six lines and 200 bytes.
MAX_HEAD = 8 * 1024
MAX_HEAD_LINES = 64
_HEAD_END = re.compile(rb"\r?\n\r?\n")
# The headers that websocket-client needs. Others are dropped: it would keep the cookies of all miners in one jar for
# ever.
_NEEDED_HEADERS = (b"upgrade:", b"connection:", b"sec-websocket-accept:")


class WebsocketTransport:
    """The socket that websocket-client gets.

    websocket-client reads byte by byte, so reads come from a buffer. They fail after `deadline` (monotonic seconds),
    which the owner moves: a frame that arrives byte by byte never triggers a per-read timeout. The first read reads the
    head of the handshake's response within limits; any status but 101 raises DeviceError.
    """

    def __init__(self, opened: socket.socket, clock: Clock, deadline: float) -> None:
        self.deadline = deadline
        self._opened = opened
        self._clock = clock
        self._buffer = memoryview(b"")
        self._closed = False
        self._is_open = False
        opened.settimeout(max(deadline - clock.monotonic(), _SHORTEST_WAIT))  # for sending the handshake

    def recv(self, size: int) -> bytes:
        """Return up to `size` bytes. Yields to the event loop."""
        if not self._is_open:
            self._buffer = memoryview(self._read_head())
            self._is_open = True
        if not self._buffer:
            self._buffer = memoryview(self._receive_chunk())
        yield_if_due()
        part, self._buffer = bytes(self._buffer[:size]), self._buffer[size:]
        return part

    def _receive_chunk(self) -> bytes:
        self._opened.settimeout(max(self.deadline - self._clock.monotonic(), _SHORTEST_WAIT))
        return bytes(self._opened.recv(_CHUNK))

    def _read_head(self) -> bytes:
        """Return the head of an accepted handshake with the needed headers only, and the bytes received after it."""
        head, limit = b"", InputLimit(MAX_HEAD, MAX_HEAD_LINES, _build_head_error)
        while not (end := _HEAD_END.search(head)):
            if not (data := self._receive_chunk()):
                raise DeviceDropped("The miner closed the connection within the websocket's handshake")
            # Bytes after the head do not count for its limits.
            ending = _HEAD_END.search(head[-3:] + data)
            counted = data if ending is None else data[: ending.end()]
            limit.count_input(len(counted), counted.count(b"\n"))
            head += data
        first, *fields = head[: end.start()].splitlines()
        _require_accepted(_STATUS_LINE.match(first), fields)
        needed = [line for line in fields if line.lower().startswith(_NEEDED_HEADERS)]
        return b"\r\n".join([b"HTTP/1.1 101 Switching Protocols", *needed, b"", b""]) + head[end.end() :]

    def send(self, data: bytes) -> int:
        return int(self._opened.send(data))

    def gettimeout(self) -> float | None:
        return self._opened.gettimeout()  # type: ignore[no-any-return]  # gevent has no types

    def settimeout(self, seconds: float | None) -> None:
        """Ignore the timeout of websocket-client, which is per read; `deadline` replaces it."""

    def shutdown(self, how: int) -> None:
        self._opened.shutdown(how)

    def close(self) -> None:
        self._closed = True
        self._opened.close()


class BoundedFrameBuffer(frame_buffer):
    """websocket-client's frame parser with a size limit, which also recognizes an HTTP response in place of a frame.

    AxeOS 2.10 to 2.14 answer the handshake with 101 and then write `HTTP/1.1 429 ..` or 401 into the open websocket.
    """

    def recv_header(self) -> None:
        first = self.recv_strict(2)
        self.recv_buffer.insert(0, first)
        if first == b"HT":  # not a frame: its reserved bits would be set
            status = _STATUS_LINE.match(self.recv_strict(12))
            raise build_handshake_error(int(status[1]) if status else 0, challenged=False)
        super().recv_header()

    def recv_length(self) -> None:
        super().recv_length()
        if (self.length or 0) > MAX_FRAME:
            raise DeviceTooLarge("A frame of the log is larger than any miner's")


def _build_head_error() -> DeviceError:
    return DeviceTooLarge("The answer to the websocket's handshake is longer than any miner's")


def _require_accepted(status_line: re.Match[bytes] | None, fields: list[bytes]) -> None:
    """Raise DeviceError unless the status is 101. The error never quotes the status line, which is untrusted."""
    status = int(status_line[1]) if status_line else 0
    if 300 <= status < 400:
        raise DeviceRedirected("This firmware has no log stream at /api/ws")
    if status != 101:
        raise build_handshake_error(
            status, challenged=any(line.lower().startswith(b"www-authenticate:") for line in fields)
        )


def build_handshake_error(status: int, *, challenged: bool) -> DeviceError:
    """Return the error for an HTTP status in place of a websocket; 0: no valid status line."""
    if status == 401:
        return DeviceLocked() if challenged else DeviceRefused()
    if status == 429:
        return LogReadersFull()
    return DeviceStatus(status, "") if status else DeviceBadPayload("The miner does not speak websocket")
