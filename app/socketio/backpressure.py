"""What is kept for a Socket.IO client that does not read: a bounded queue, and not for long.

Engine.IO's queue has no end: at 10,000 events it held 27 MB for one stalled client, and kept them for as long as the
TCP connection lasted. Its queue and its websocket are taken from `eio._async`, a table of the library's own: the
versions are locked, and tests/component/test_slow_clients.py fails when that changes.
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

from app.security.engine_io import is_packet

MAX_PACKETS = 1000
SEND_SECONDS = 4.0
GOODBYE_SECONDS = 0.5
GOING_AWAY = 1001
LOST = "events_lost"
_EVENT = "2["


class ClientStalled(Exception):
    """A client took nothing for the whole deadline. No OSError: gevent-websocket would make its own of that."""


class BoundedQueue(JoinableQueue):  # type: ignore[misc]  # gevent has no types
    """Takes no more events when it is full; answers and what keeps the connection alive always. When there is room
    again the client is told what it missed, by event: `events_lost {"stat_update": 12}`."""

    dropped: Callable[[int], None] = staticmethod(lambda count: None)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._missed: Counter[str] = Counter()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        if _is_event(item):
            if self.qsize() >= MAX_PACKETS:
                self._missed[_name(item)] += 1
                self.dropped(1)
                return
            if self._missed:
                missed, self._missed = self._missed, Counter()
                super().put(Packet(MESSAGE, _EVENT + orjson.dumps([LOST, missed]).decode()[1:]))
        super().put(item, block, timeout)


class DeadlineWebSocket(WebSocketWSGI):  # type: ignore[misc]
    """A send that takes longer than 4 s ends the connection: the client reads nothing, and a frame is half out."""

    opened: ClassVar[set[Any]]

    def __call__(self, environ: Any, start_response: Any) -> Any:
        self.opened.add(self)
        try:
            return super().__call__(environ, start_response)
        finally:
            self.opened.discard(self)

    def go_away(self) -> None:
        """Says 1001, after which clients come back by themselves; a Socket.IO disconnect would tell them to stay
        away."""
        with suppress(Exception), gevent.Timeout(GOODBYE_SECONDS, False):
            # gevent-websocket's own close() leaves the code out of the frame.
            self._sock.send_frame(GOING_AWAY.to_bytes(2), self._sock.OPCODE_CLOSE)

    def wait(self) -> Any:
        """None ends the connection: what is no packet Engine.IO answers with a traceback."""
        message = super().wait()
        return message if is_packet(message) else None

    def send(self, message: Any) -> Any:
        try:
            with gevent.Timeout(SEND_SECONDS, ClientStalled()):
                return super().send(message)
        except ClientStalled:
            with suppress(OSError):
                self._sock.handler.socket.shutdown(socket.SHUT_RDWR)
            raise


def bound(eio: Any, dropped: Callable[[int], None]) -> Callable[[], None]:
    """Gives every client that connects to this Engine.IO server the above. `dropped` hears of each event not sent.
    Returns what says goodbye to all that have a websocket open."""
    opened: set[DeadlineWebSocket] = set()
    queue = type("CountedQueue", (BoundedQueue,), {"dropped": staticmethod(dropped)})
    websocket = type("KnownWebSocket", (DeadlineWebSocket,), {"opened": opened})
    eio._async = {**eio._async, "queue": queue, "websocket": websocket}
    return lambda: gevent.joinall([gevent.spawn(each.go_away) for each in opened])


def waiting(server: Any, sid: str) -> int:
    """How many packets wait for this client; none for one that is gone."""
    eio_sid = server.manager.eio_sid_from_sid(sid, "/")
    opened = server.eio.sockets.get(eio_sid)
    return opened.queue.qsize() if opened is not None else 0


def _is_event(item: Any) -> bool:
    return isinstance(item, Packet) and isinstance(item.data, str) and item.data.startswith(_EVENT)


def _name(item: Packet) -> str:
    """`2["stat_update",..` → `stat_update`."""
    return str(item.data).split('"', 2)[1][:64]
