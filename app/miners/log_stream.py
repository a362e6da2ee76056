"""The websocket on which a miner says its log: GET /api/ws, text frames, from the miner to us only.

websocket-client does the protocol; what it leaves open is closed here: it connects to a parsed IP (no resolver, no
proxy, no redirect), without `Origin` (the firmware refuses most), reads end at a whole deadline, and frames have a
size. The miner never pings and notices a reader that is gone only when a send fails, so we ping, and say goodbye.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gevent import socket
from websocket import ABNF, WebSocket, WebSocketBadStatusException, WebSocketException, WebSocketTimeoutException
from websocket._abnf import frame_buffer

from app.clock import Clock
from app.errors import (
    AddressForbidden,
    DeviceBadPayload,
    DeviceDropped,
    DeviceError,
    DeviceForbidden,
    DeviceLocked,
    DeviceRedirected,
    DeviceRefused,
    DeviceStatus,
    DeviceTimeout,
    DeviceTooLarge,
    DeviceUnreachable,
    LogReadersFull,
)
from app.miners.address import Address

PATH = "/api/ws"
MAX_FRAME = 64 * 1024
_CHUNK = 64 * 1024
_SHORTEST_WAIT = 0.001
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})")
_PAYLOADS = frozenset({ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY, ABNF.OPCODE_CONT})


@dataclass(frozen=True, slots=True)
class StreamTimes:
    """Seconds. A ping goes out every `ping` ± `jitter`; nothing within `pong` of it, and the miner counts as gone."""

    connect: float = 2.0
    handshake: float = 4.0
    ping: float = 25.0
    jitter: float = 5.0
    pong: float = 10.0


class _Transport:
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


class _Frames(frame_buffer):
    """websocket-client's frame parser, with a largest frame, and told from an HTTP answer: AxeOS 2.10 to 2.14 answer
    101 and then write `HTTP/1.1 429 ..` or 401 into the open websocket."""

    def recv_header(self) -> None:
        first = self.recv_strict(2)
        self.recv_buffer.insert(0, first)
        if first == b"HT":  # no frame: its reserved bits would be set
            status = _STATUS_LINE.match(self.recv_strict(12))
            raise _refusal(int(status[1]) if status else 0, challenged=False)
        super().recv_header()

    def recv_length(self) -> None:
        super().recv_length()
        if (self.length or 0) > MAX_FRAME:
            raise DeviceTooLarge("A frame of the log is larger than any miner's")


class LogStream:
    """One open stream. Read by one greenlet; `say_goodbye` and `abort` may come from another."""

    def __init__(
        self,
        address: Address,
        check: Callable[[Address], object],
        clock: Clock,
        times: StreamTimes,
        chance: Callable[[], float],
    ) -> None:
        """Connects. Raises DeviceError: DeviceRefused, DeviceLocked or LogReadersFull where the miner says so."""
        self.address = address
        self._clock = clock
        self._times = times
        self._chance = chance
        self._transport = _Transport(
            _connect(address, check, times.connect), clock, clock.monotonic() + times.handshake
        )
        # fire_cont_frame: each piece of a fragmented message comes alone, so that nothing piles up.
        self._websocket = WebSocket(skip_utf8_validation=True, fire_cont_frame=True)
        self._websocket.frame_buffer = _Frames(self._websocket._recv, True)
        try:
            self._shake_hands()
        except BaseException:
            self._transport.close()
            raise
        self._pong_due: float | None = None
        self._ping_due = self._next_ping()

    def read(self, seconds: float) -> bytes | None:
        """The payload of the next frame; None when a control frame or nothing came within `seconds`. Raises DeviceError
        when the stream is over."""
        now = self._clock.monotonic()
        self._transport.deadline = min(now + seconds, self._pong_due or self._ping_due)
        try:
            opcode, frame = self._websocket.recv_data_frame(control_frame=True)
        except WebSocketTimeoutException:
            self._keep_alive()
            return None
        except (WebSocketException, OSError, ValueError) as error:
            raise _lost(error) from error
        self._pong_due = None
        self._keep_alive()
        if opcode == ABNF.OPCODE_CLOSE:
            raise DeviceDropped("The miner closed its log stream")
        return bytes(frame.data) if opcode in _PAYLOADS else None

    def say_goodbye(self) -> None:
        """Asks for the end: the miner answers, and whoever reads wakes with DeviceDropped."""
        with suppress(WebSocketException, OSError):
            self._websocket.send_close()

    def abort(self) -> None:
        """Whoever reads wakes now."""
        with suppress(OSError):
            self._transport.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Says goodbye if nobody did, and lets go of the socket."""
        if self._websocket.connected:
            self.say_goodbye()
        self._transport.close()

    def _shake_hands(self) -> None:
        try:
            self._websocket.connect(  # type: ignore[no-untyped-call]
                f"ws://{self.address}{PATH}", socket=self._transport, suppress_origin=True, redirect_limit=0
            )
        except WebSocketBadStatusException as error:
            headers = error.resp_headers or {}
            raise _refusal(error.status_code, challenged="www-authenticate" in headers) from error
        except WebSocketTimeoutException:
            raise DeviceTimeout(f"No answer to the websocket within {self._times.handshake:g} s") from None
        except (WebSocketException, OSError, ValueError) as error:
            if "Redirect" in str(error):
                raise DeviceRedirected("This firmware has no log stream at /api/ws") from None
            raise _lost(error) from error

    def _next_ping(self) -> float:
        return self._clock.monotonic() + self._times.ping + self._times.jitter * (2 * self._chance() - 1)

    def _keep_alive(self) -> None:
        now = self._clock.monotonic()
        if self._pong_due is not None and now >= self._pong_due:
            raise DeviceTimeout(f"The log stream gave no sign of life for {self._times.pong:g} s")
        if self._pong_due is None and now >= self._ping_due:
            try:
                self._websocket.ping()
            except (WebSocketException, OSError) as error:
                raise _lost(error) from error
            self._ping_due, self._pong_due = self._next_ping(), now + self._times.pong


def _connect(address: Address, check: Callable[[Address], object], seconds: float) -> socket.socket:
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


def _refusal(status: int, *, challenged: bool) -> DeviceError:
    if status == 401:
        return DeviceLocked() if challenged else DeviceRefused()
    if status == 429:
        return LogReadersFull()
    return DeviceStatus(status, "") if status else DeviceBadPayload("The miner does not speak websocket")


def _lost(error: Exception) -> DeviceError:
    if isinstance(error, WebSocketTimeoutException):
        return DeviceTimeout("The log stream stalled")
    return DeviceDropped(f"The log stream broke: {error}" if str(error) else "The log stream broke")
