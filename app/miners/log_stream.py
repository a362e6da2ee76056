"""The websocket of a miner's log: GET /api/ws, text frames, from the miner to this service only.

websocket-client implements the protocol. This module adds: a connection to an IP address (no resolver, no proxy, no
redirect), no `Origin` header (the firmware refuses most), a deadline for reads, and a size limit for frames. The miner
sends no pings and notices a disconnected reader only when a send fails, so this side sends pings and a close frame.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from gevent import socket
from websocket import ABNF, WebSocket, WebSocketException, WebSocketTimeoutException

from app.clock import Clock
from app.errors import DeviceDropped, DeviceError, DeviceTimeout
from app.miners.address import Address
from app.miners.log_transport import BoundedFrameBuffer, WebsocketTransport
from app.miners.tcp import open_connection
from app.redaction.miner_text import redact_excerpt

PATH = "/api/ws"
_PAYLOADS = frozenset({ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY, ABNF.OPCODE_CONT})


@dataclass(frozen=True, slots=True)
class StreamTimes:
    """Times in seconds. A ping is sent every `ping` ± `jitter`; without any frame within `pong` the stream fails."""

    connect: float = 2.0
    handshake: float = 4.0
    ping: float = 25.0
    jitter: float = 5.0
    pong: float = 10.0


class LogStream:
    """One open stream. One greenlet reads it; others may call `send_close` and `abort`."""

    def __init__(
        self,
        address: Address,
        check: Callable[[Address], object],
        clock: Clock,
        times: StreamTimes,
        rng: Callable[[], float],
    ) -> None:
        """Connect. Raises DeviceError, such as DeviceRefused, DeviceLocked or LogReadersFull by the miner's answer."""
        self.address = address
        self._clock = clock
        self._times = times
        self._rng = rng
        opened = open_connection(address, check, times.connect)
        self._transport = WebsocketTransport(opened, clock, clock.monotonic() + times.handshake)
        # fire_cont_frame: each fragment of a message is returned separately, so that none is buffered.
        self._websocket = WebSocket(skip_utf8_validation=True, fire_cont_frame=True)
        self._websocket.frame_buffer = BoundedFrameBuffer(self._websocket.frame_buffer.recv, skip_utf8_validation=True)
        try:
            self._open_websocket()
        except BaseException:
            self._transport.close()
            raise
        self._pong_due: float | None = None
        self._ping_due = self._schedule_ping()

    def read_frame(self, seconds: float) -> bytes | None:
        """Return the payload of the next frame, or None for a control frame or if none arrives within `seconds`.

        Raises DeviceError when the stream has ended.
        """
        now = self._clock.monotonic()
        self._transport.deadline = min(now + seconds, self._pong_due or self._ping_due)
        try:
            opcode, frame = self._websocket.recv_data_frame(control_frame=True)
        except WebSocketTimeoutException:
            self._check_ping()
            return None
        except (WebSocketException, OSError, ValueError) as error:
            raise _translate_error(error) from error
        self._pong_due = None
        self._check_ping()
        if opcode == ABNF.OPCODE_CLOSE:
            raise DeviceDropped("The miner closed its log stream")
        return bytes(frame.data) if opcode in _PAYLOADS else None

    def send_close(self) -> None:
        """Send a close frame. The miner answers it, and the pending read raises DeviceDropped."""
        with suppress(WebSocketException, OSError):
            self._websocket.send_close()

    def abort(self) -> None:
        """Shut the connection down; a pending read fails at once."""
        with suppress(OSError):
            self._transport.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Send a close frame unless that was done, and close the socket."""
        if self._websocket.connected:
            self.send_close()
        self._transport.close()

    def _open_websocket(self) -> None:
        try:
            self._websocket.connect(  # type: ignore[no-untyped-call]
                f"ws://{self.address}{PATH}", socket=self._transport, suppress_origin=True, redirect_limit=0
            )
        except WebSocketTimeoutException:
            raise DeviceTimeout(f"No answer to the websocket within {self._times.handshake:g} s") from None
        except (WebSocketException, OSError, ValueError) as error:
            raise _translate_error(error) from error

    def _schedule_ping(self) -> float:
        return self._clock.monotonic() + self._times.ping + self._times.jitter * (2 * self._rng() - 1)

    def _check_ping(self) -> None:
        now = self._clock.monotonic()
        if self._pong_due is not None and now >= self._pong_due:
            raise DeviceTimeout(f"No answer to a ping of the log stream within {self._times.pong:g} s")
        if self._pong_due is None and now >= self._ping_due:
            try:
                self._websocket.ping()
            except (WebSocketException, OSError) as error:
                raise _translate_error(error) from error
            self._ping_due, self._pong_due = self._schedule_ping(), now + self._times.pong


def _translate_error(error: Exception) -> DeviceError:
    if isinstance(error, WebSocketTimeoutException):
        return DeviceTimeout("The log stream stalled")
    if isinstance(error, ValueError):  # its text quotes the miner
        return DeviceDropped("The miner does not speak websocket")
    return DeviceDropped(
        f"The log stream broke: {redact_excerpt(str(error))}" if str(error) else "The log stream broke"
    )
