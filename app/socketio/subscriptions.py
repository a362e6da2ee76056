"""The Socket.IO events that subscribe to device logs. Each is acknowledged with `{"ok": true, ..}` or
`{"ok": false, "error": .., "details"?: ..}`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import request
from flask_socketio import SocketIO
from marshmallow import ValidationError

from app.errors import PlutoError
from app.schemas.log import SubscribeSchema, UnsubscribeSchema
from app.services.devices.fleet import Tracked
from app.services.logs.service import LogService
from app.socketio.backpressure import waiting
from app.socketio.feeds import Broadcast, Feed

Answer = dict[str, Any]


class LogSockets:
    """Owns the log feed of each client, and the log broadcast."""

    def __init__(
        self, server: SocketIO, logs: LogService, find: Callable[[str], Tracked | None], clients: Callable[[], int]
    ) -> None:
        self.broadcast = Broadcast(logs.hub, find, server.emit, clients)
        self._server = server
        self._logs = logs
        self._feeds: dict[str, Feed] = {}
        server.on_event("subscribeLogs", self._subscribe)
        server.on_event("unsubscribeLogs", self._unsubscribe)

    def left(self, sid: str) -> None:
        """End all subscriptions of a client that has disconnected."""
        if feed := self._feeds.pop(sid, None):
            for mac in feed.macs:
                self._logs.hub.drop(mac, (sid,))
            feed.end()

    def _subscribe(self, *payload: Any) -> Answer:
        """Handle `{mac, epoch?, since?}`: acknowledge with the state of the stream; lines follow as `log_line`."""
        sid = _sid()
        try:
            wanted = SubscribeSchema().load(_only(payload))
            subscribed = self._logs.subscribe(wanted["mac"], (sid,), wanted.get("since"), wanted.get("epoch"))
        except (ValidationError, PlutoError) as error:
            return _refusal(error)
        if self._server.server.manager.is_connected(sid, "/"):
            self._feed(sid).follow(subscribed.cursor)
        else:
            self._logs.hub.drop(subscribed.cursor.log.mac, (sid,))
        return {"ok": True, **subscribed.about}

    def _unsubscribe(self, *payload: Any) -> Answer:
        sid = _sid()
        try:
            mac = self._logs.mac_of(UnsubscribeSchema().load(_only(payload))["mac"])
        except (ValidationError, PlutoError) as error:
            return _refusal(error)
        if feed := self._feeds.get(sid):
            feed.leave(mac)
        self._logs.hub.drop(mac, (sid,))
        return {"ok": True, "mac": mac}

    def _feed(self, sid: str) -> Feed:
        if sid not in self._feeds:
            server = self._server.server
            self._feeds[sid] = Feed(lambda event, data: server.emit(event, data, to=sid), lambda: waiting(server, sid))
        return self._feeds[sid]


def _sid() -> str:
    return str(request.sid)  # type: ignore[attr-defined]  # flask-socketio's


def _only(payload: tuple[Any, ...]) -> Any:
    return payload[0] if len(payload) == 1 else None


def _refusal(error: ValidationError | PlutoError) -> Answer:
    if isinstance(error, PlutoError):
        return {"ok": False, "error": str(error)}
    return {"ok": False, "error": "Some fields are wrong", "details": error.messages}
