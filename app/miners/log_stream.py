"""The websocket on which a miner says its log: GET /api/ws, text frames, from the miner to us only.

websocket-client does the protocol; what it leaves open is closed here: it connects to a parsed IP (no resolver, no
proxy, no redirect), without `Origin` (the firmware refuses most), reads end at a whole deadline, and frames have a
size. The miner never pings and notices a reader that is gone only when a send fails, so we ping, and say goodbye.
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
from app.miners.log_transport import Frames, Transport
from app.miners.tcp import open_connection
from app.redaction.text import quotable

PATH = "/api/ws"
_PAYLOADS = frozenset({ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY, ABNF.OPCODE_CONT})


@dataclass(frozen=True, slots=True)
class StreamTimes:
    """Seconds. A ping goes out every `ping` ± `jitter`; nothing within `pong` of it, and the miner counts as gone."""

    connect: float = 2.0
    handshake: float = 4.0
    ping: float = 25.0
    jitter: float = 5.0
    pong: float = 10.0


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
        opened = open_connection(address, check, times.connect)
        self._transport = Transport(opened, clock, clock.monotonic() + times.handshake)
        # fire_cont_frame: each piece of a fragmented message comes alone, so that nothing piles up.
        self._websocket = WebSocket(skip_utf8_validation=True, fire_cont_frame=True)
        self._websocket.frame_buffer = Frames(self._websocket.frame_buffer.recv, skip_utf8_validation=True)
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
        except WebSocketTimeoutException:
            raise DeviceTimeout(f"No answer to the websocket within {self._times.handshake:g} s") from None
        except (WebSocketException, OSError, ValueError) as error:
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


def _lost(error: Exception) -> DeviceError:
    if isinstance(error, WebSocketTimeoutException):
        return DeviceTimeout("The log stream stalled")
    if isinstance(error, ValueError):  # it quotes what the miner said
        return DeviceDropped("The miner does not speak websocket")
    return DeviceDropped(f"The log stream broke: {quotable(str(error))}" if str(error) else "The log stream broke")
