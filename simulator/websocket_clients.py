"""The websocket clients of one miner: log lines on /api/ws, changes of /info on /api/ws/live.

Up to AxeOS 2.9 and on NerdOS there is one log stream: the newest client receives it. Older clients stay connected
and receive nothing, even after the newest client has left.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import gevent
from gevent import event, lock

from .cjson import print_json
from .connection import Connection
from .device_state import DeviceState
from .http_messages import Request
from .info_printer import InfoPrinter
from .miner_log import MinerLog, split_into_frames
from .websocket import WebSocket

LOG_INTERVAL = 0.25
LIVE_INTERVAL = 0.5
QUEUE_ENTRIES = 20_000
NOT_LIVE = frozenset({"fullHostname", "mdnsHostname"})


class WebSocketClients:
    """Owns the websockets of one miner and their greenlets.

    `request_lock` is held for each frame: the firmware has one task for requests and frames.
    """

    def __init__(
        self, state: DeviceState, log: MinerLog, printer: InfoPrinter, request_lock: lock.BoundedSemaphore
    ) -> None:
        self._state = state
        self._log = log
        self._printer = printer
        self._request_lock = request_lock
        self._clients: dict[WebSocket, gevent.Greenlet] = {}
        self._newest: WebSocket | None = None

    def __len__(self) -> int:
        return len(self._clients)

    @property
    def is_full(self) -> bool:
        """True if another client must be refused. False with one stream, which the new client takes over."""
        limit = self._state.generation.log_clients
        return limit > 1 and len(self._clients) >= limit

    def add_log_client(self, connection: Connection, request: Request) -> None:
        """Send every new log line to this client."""
        socket = self._open_websocket(connection, request)
        self._newest = socket
        self._clients[socket] = gevent.spawn(self._stream_logs, socket)

    def add_live_client(self, connection: Connection, request: Request) -> None:
        """Send /info and then its changes to this client."""
        socket = self._open_websocket(connection, request)
        self._clients[socket] = gevent.spawn(self._stream_live, socket)

    def _open_websocket(self, connection: Connection, request: Request) -> WebSocket:
        return WebSocket(connection, request, self._request_lock, self._remove_client)

    def _remove_client(self, socket: WebSocket) -> None:
        greenlet = self._clients.pop(socket, None)
        if self._newest is socket:
            self._newest = None
        if greenlet is not None and greenlet is not gevent.getcurrent():
            greenlet.kill(block=False)

    def _receives_logs(self, socket: WebSocket) -> bool:
        return self._state.generation.log_clients > 1 or socket is self._newest

    def _stream_logs(self, socket: WebSocket) -> None:
        queue: deque[bytes] = deque(maxlen=QUEUE_ENTRIES)
        wake = event.Event()

        def add_to_queue(entry: bytes) -> None:
            if self._receives_logs(socket):
                queue.append(entry)
                wake.set()

        log = self._log
        log.subscribers.add(add_to_queue)
        try:
            while socket.is_open:
                log.write_due_lines(self._state.clock())
                self._send_queue(socket, queue)
                wake.clear()
                if not queue:
                    wake.wait(LOG_INTERVAL)
        finally:
            log.subscribers.discard(add_to_queue)

    def _send_queue(self, socket: WebSocket, queue: deque[bytes]) -> None:
        by_line = self._state.generation.log_by_line
        while queue and socket.is_open:
            for payload in split_into_frames(queue.popleft(), by_line=by_line):
                socket.send_text(payload)

    def _stream_live(self, socket: WebSocket) -> None:
        before: dict[str, Any] = {}
        while socket.is_open:
            self._state.update_to_now()
            values = {key: value for key, value in self._printer.read_values().items() if key not in NOT_LIVE}
            changed = find_changes(before, values)
            if changed:
                socket.send_text(print_json({"event": "update", "data": changed}).encode())
            before = values
            gevent.sleep(LIVE_INTERVAL)


def find_changes(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Return the changed members: objects member by member, arrays whole. Removed members are not reported."""
    changed: dict[str, Any] = {}
    for key, value in now.items():
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            inner = find_changes(old, value)
            if inner:
                changed[key] = inner
        elif key not in before or old != value:
            changed[key] = value
    return changed
