"""What lies under a log's websocket: a connection that reads within a deadline, and frames that have a size."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from gevent import socket
from websocket._abnf import frame_buffer

from app.clock import Clock
from app.errors import (
    AddressForbidden,
    DeviceBadPayload,
    DeviceError,
    DeviceForbidden,
    DeviceLocked,
    DeviceRefused,
    DeviceStatus,
    DeviceTooLarge,
    DeviceUnreachable,
    LogReadersFull,
)
from app.miners.address import Address

MAX_FRAME = 64 * 1024
_CHUNK = 64 * 1024
_SHORTEST_WAIT = 0.001
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})")


class Transport:
    """The TCP connection as websocket-client sees it. It reads byte by byte, so reads come from a buffer; and all reads
    until `deadline` is moved end there, for a frame that drips never ends a timeout per read."""

    def __init__(self, opened: socket.socket, clock: Clock, deadline: float) -> None:
        self.deadline = deadline
        self._opened = opened
        self._clock = clock
        self._buffer = memoryview(b"")
        self._closed = False

    def recv(self, size: int) -> bytes:
        if not self._buffer:
            self._opened.settimeout(max(self.deadline - self._clock.monotonic(), _SHORTEST_WAIT))
            self._buffer = memoryview(self._opened.recv(_CHUNK))
        part, self._buffer = bytes(self._buffer[:size]), self._buffer[size:]
        return part

    def send(self, data: bytes) -> int:
        return int(self._opened.send(data))

    def gettimeout(self) -> float | None:
        return self._opened.gettimeout()  # type: ignore[no-any-return]  # gevent has no types

    def settimeout(self, seconds: float | None) -> None:
        """websocket-client's own timeouts are per read; `deadline` stands instead."""

    def shutdown(self, how: int) -> None:
        self._opened.shutdown(how)

    def close(self) -> None:
        self._closed = True
        self._opened.close()


class Frames(frame_buffer):
    """websocket-client's frame parser, with a largest frame, and told from an HTTP answer: AxeOS 2.10 to 2.14 answer
    101 and then write `HTTP/1.1 429 ..` or 401 into the open websocket."""

    def recv_header(self) -> None:
        first = self.recv_strict(2)
        self.recv_buffer.insert(0, first)
        if first == b"HT":  # no frame: its reserved bits would be set
            status = _STATUS_LINE.match(self.recv_strict(12))
            raise refusal(int(status[1]) if status else 0, challenged=False)
        super().recv_header()

    def recv_length(self) -> None:
        super().recv_length()
        if (self.length or 0) > MAX_FRAME:
            raise DeviceTooLarge("A frame of the log is larger than any miner's")


def connect(address: Address, check: Callable[[Address], object], seconds: float) -> socket.socket:
    try:
        check(address)
    except AddressForbidden as error:
        raise DeviceForbidden(str(error)) from None
    opened: Any = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        opened.settimeout(seconds)
        opened.connect((address.host, address.port))
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        opened.close()
        raise DeviceUnreachable(f"{address} cannot be reached: {error.strerror or 'timed out'}".lower()) from error
    except BaseException:
        opened.close()
        raise
    return opened


def refusal(status: int, *, challenged: bool) -> DeviceError:
    if status == 401:
        return DeviceLocked() if challenged else DeviceRefused()
    if status == 429:
        return LogReadersFull()
    return DeviceStatus(status, "") if status else DeviceBadPayload("The miner does not speak websocket")
