"""/api/ws (log lines) and /api/ws/live (changes of /info): who may connect, and what each client is sent.

One `Audience` per miner owns the clients and their greenlets. Up to AxeOS 2.9 and on NerdOS there is one
stream: the newest client has it, older ones stay connected and hear nothing, and when the holder leaves
nobody hears anything.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import gevent
from gevent import event

from .http import HTML, Reply, Request
from .logs import frames
from .websocket import WebSocket, accept_head

if TYPE_CHECKING:
    from .connection import Connection
    from .miner import Miner

TICK = 0.25
LIVE_TICK = 0.5
QUEUE = 20_000
NOT_LIVE = frozenset({"fullHostname", "mdnsHostname"})


class Audience:
    """The websocket clients of one miner."""

    def __init__(self, miner: Miner) -> None:
        self._miner = miner
        self._clients: dict[WebSocket, gevent.Greenlet] = {}
        self._holder: WebSocket | None = None

    def __len__(self) -> int:
        return len(self._clients)

    @property
    def is_full(self) -> bool:
        """No place for one more; never with one stream, which is taken over instead."""
        limit = self._miner.generation.log_clients
        return limit > 1 and len(self._clients) >= limit

    def admit_logs(self, connection: Connection, request: Request) -> None:
        """Send this client every log line from now on."""
        socket = WebSocket(connection, request, self._left)
        self._holder = socket
        self._clients[socket] = gevent.spawn(self._stream_logs, socket)

    def admit_live(self, connection: Connection, request: Request) -> None:
        """Send this client /info and then its changes."""
        socket = WebSocket(connection, request, self._left)
        self._clients[socket] = gevent.spawn(self._stream_live, socket)

    def _left(self, socket: WebSocket) -> None:
        greenlet = self._clients.pop(socket, None)
        if self._holder is socket:
            self._holder = None
        if greenlet is not None and greenlet is not gevent.getcurrent():
            greenlet.kill(block=False)

    def _hears(self, socket: WebSocket) -> bool:
        return self._miner.generation.log_clients > 1 or socket is self._holder

    def _stream_logs(self, socket: WebSocket) -> None:
        queue: deque[bytes] = deque(maxlen=QUEUE)
        wake = event.Event()

        def sink(entry: bytes) -> None:
            if self._hears(socket):
                queue.append(entry)
                wake.set()

        log = self._miner.log
        log.sinks.add(sink)
        try:
            while socket.is_open:
                log.advance(self._miner.now())
                self._send_queued(socket, queue)
                wake.clear()
                if not queue:
                    wake.wait(TICK)
        finally:
            log.sinks.discard(sink)

    def _send_queued(self, socket: WebSocket, queue: deque[bytes]) -> None:
        by_line = self._miner.generation.log_by_line
        while queue and socket.is_open:
            for payload in frames(queue.popleft(), by_line=by_line):
                socket.send_text(payload)

    def _stream_live(self, socket: WebSocket) -> None:
        before: dict[str, Any] = {}
        while socket.is_open:
            self._miner.look()
            values = {key: value for key, value in self._miner.printer.values().items() if key not in NOT_LIVE}
            changed = difference(before, values)
            if changed:
                socket.send_text(self._miner.printer.print({"event": "update", "data": changed}))
            before = values
            gevent.sleep(LIVE_TICK)


def difference(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """What changed: objects member by member, arrays whole. A member that disappeared is never announced."""
    changed: dict[str, Any] = {}
    for key, value in now.items():
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            inner = difference(old, value)
            if inner:
                changed[key] = inner
        elif key not in before or old != value:
            changed[key] = value
    return changed


def open_logs(miner: Miner, request: Request, connection: Connection) -> Reply | None:
    """GET /api/ws."""
    return _open(miner, request, connection, miner.audience.admit_logs)


def open_live(miner: Miner, request: Request, connection: Connection) -> Reply | None:
    """GET /api/ws/live."""
    return _open(miner, request, connection, miner.audience.admit_live)


def _open(miner: Miner, request: Request, connection: Connection, admit: Any) -> Reply | None:
    if not request.wants_websocket:
        return Reply(400, b"Bad request", HTML, headers=())
    if miner.audience.is_full:
        return refuse(miner, request, connection, 429)
    admit(connection, request)
    return None


def refuse(miner: Miner, request: Request, connection: Connection, status: int) -> Reply | None:
    """401 or 429. ≥ 2.15 says so before the handshake; older firmware has already answered 101 and writes
    the bytes of an HTTP answer into the open websocket."""
    text = {401: b"Unauthorized", 429: b"Too many WebSocket clients"}[status]
    reply = Reply(status, text, HTML, headers=())
    if not request.wants_websocket or miner.generation.refuses_before_101:
        return reply
    connection.send(accept_head(request))
    connection.send(reply.head() + reply.payload())
    connection.close()
    return None
