"""Backpressure for Socket.IO clients that do not read: a bounded queue, and a timeout for each send.

Engine.IO's queue is unbounded: with 10,000 events it held 27 MB for one stalled client, as long as the TCP connection
lasted. Queue and websocket class are replaced in `eio._async`, a private table of the library: the versions are locked,
and tests/component/test_slow_clients.py fails if the table changes.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar

import gevent
import orjson
from engineio.async_drivers.gevent import WebSocketWSGI
from engineio.packet import MESSAGE, Packet
from gevent.queue import JoinableQueue

from app.security.engine_io import is_engine_io_packet

MAX_QUEUED_PACKETS = 1000
SEND_TIMEOUT_SECONDS = 4.0
CLOSE_TIMEOUT_SECONDS = 0.5
GOING_AWAY = 1001
EVENTS_LOST = "events_lost"
_EVENT_PREFIX = "2["


class ClientStalled(Exception):
    """A client read nothing within the timeout. Not an OSError: gevent-websocket would convert that."""


class BoundedQueue(JoinableQueue):  # type: ignore[misc]  # gevent has no types
    """A queue that drops events when it is full, but never acknowledgements and pings. When there is space again, the
    client gets the number of dropped events by name: `events_lost {"stat_update": 12}`."""

    on_dropped: Callable[[int], None] = staticmethod(lambda count: None)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._missed: Counter[str] = Counter()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        if _is_event_packet(item):
            if self.qsize() >= MAX_QUEUED_PACKETS:
                self._missed[_parse_event_name(item)] += 1
                self.on_dropped(1)
                return
            if self._missed:
                missed, self._missed = self._missed, Counter()
                super().put(Packet(MESSAGE, _EVENT_PREFIX + orjson.dumps([EVENTS_LOST, missed]).decode()[1:]))
        super().put(item, block, timeout)


class DeadlineWebSocket(WebSocketWSGI):  # type: ignore[misc]
    """A websocket that ends the connection when a send takes longer than 4 s: the frame is incomplete by then."""

    open_websockets: ClassVar[set[Any]]

    def __call__(self, environ: Any, start_response: Any) -> Any:
        self.open_websockets.add(self)
        try:
            return super().__call__(environ, start_response)
        finally:
            self.open_websockets.discard(self)

    def send_going_away(self) -> None:
        """Send close code 1001 (going away), after which clients reconnect. After a Socket.IO disconnect they would
        not."""
        with suppress(Exception), gevent.Timeout(CLOSE_TIMEOUT_SECONDS, False):
            # gevent-websocket's own close() leaves the code out of the frame.
            self._sock.send_frame(GOING_AWAY.to_bytes(2), self._sock.OPCODE_CLOSE)

    def wait(self) -> Any:
        """Return the next message. None, which ends the connection, for one that Engine.IO cannot parse."""
        message = super().wait()
        return message if is_engine_io_packet(message) else None

    def send(self, message: Any) -> Any:
        try:
            with gevent.Timeout(SEND_TIMEOUT_SECONDS, ClientStalled()):
                return super().send(message)
        except ClientStalled:
            with suppress(OSError):
                self._sock.handler.socket.shutdown(socket.SHUT_RDWR)
            raise


def install_limits(eio: Any, on_dropped: Callable[[int], None]) -> Callable[[], None]:
    """Install the bounded queue and the websocket timeout in this Engine.IO server. `on_dropped` gets the number of
    dropped events. Return a function that closes all open websockets."""
    opened: set[DeadlineWebSocket] = set()
    queue = type("CountedQueue", (BoundedQueue,), {"on_dropped": staticmethod(on_dropped)})
    websocket = type("KnownWebSocket", (DeadlineWebSocket,), {"open_websockets": opened})
    eio._async = {**eio._async, "queue": queue, "websocket": websocket}
    return lambda: gevent.joinall([gevent.spawn(each.send_going_away) for each in opened])


def count_queued_packets(server: Any, sid: str) -> int:
    """Return the number of packets queued for this client, 0 if it is disconnected."""
    eio_sid = server.manager.eio_sid_from_sid(sid, "/")
    opened = server.eio.sockets.get(eio_sid)
    return opened.queue.qsize() if opened is not None else 0


def _is_event_packet(item: Any) -> bool:
    return isinstance(item, Packet) and isinstance(item.data, str) and item.data.startswith(_EVENT_PREFIX)


def _parse_event_name(item: Packet) -> str:
    """`2["stat_update",..` → `stat_update`."""
    return str(item.data).split('"', 2)[1][:64]
