"""The Socket.IO events that subscribe to device logs. Each is acknowledged with `{"ok": true, ..}` or
`{"ok": false, "error": .., "details"?: ..}`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask_socketio import SocketIO
from marshmallow import ValidationError

from app.errors import PlutoError
from app.schemas.log import SubscribeSchema, UnsubscribeSchema
from app.services.devices.fleet import Tracked
from app.services.logs.service import LogService
from app.socketio.backpressure import count_queued_packets
from app.socketio.event_context import current_sid, single_argument
from app.socketio.log_feeds import LogBroadcast, LogFeed

Acknowledgement = dict[str, Any]


class LogSubscriptions:
    """Owns the log feed of each client, and the log broadcast."""

    def __init__(
        self,
        server: SocketIO,
        logs: LogService,
        find_device: Callable[[str], Tracked | None],
        count_clients: Callable[[], int],
    ) -> None:
        self.broadcast = LogBroadcast(logs.hub, find_device, server.emit, count_clients)
        self._server = server
        self._logs = logs
        self._feeds: dict[str, LogFeed] = {}
        server.on_event("subscribeLogs", self._handle_subscribe)
        server.on_event("unsubscribeLogs", self._handle_unsubscribe)

    def remove_client(self, sid: str) -> None:
        """End all subscriptions of a client that has disconnected."""
        if feed := self._feeds.pop(sid, None):
            for mac in feed.macs:
                self._logs.hub.remove_listener(mac, (sid,))
            feed.stop()

    def _handle_subscribe(self, *payload: Any) -> Acknowledgement:
        """Handle `{mac, epoch?, since?}`: acknowledge with the state of the stream; lines follow as `log_line`."""
        sid = current_sid()
        try:
            wanted = SubscribeSchema().load(single_argument(payload))
            subscribed = self._logs.add_subscription(wanted["mac"], (sid,), wanted.get("since"), wanted.get("epoch"))
        except (ValidationError, PlutoError) as error:
            return _encode_refusal(error)
        if self._server.server.manager.is_connected(sid, "/"):
            self._get_feed(sid).follow_log(subscribed.cursor)
        else:
            self._logs.hub.remove_listener(subscribed.cursor.log.mac, (sid,))
        return {"ok": True, **subscribed.acknowledgement}

    def _handle_unsubscribe(self, *payload: Any) -> Acknowledgement:
        sid = current_sid()
        try:
            mac = self._logs.get_canonical_mac(UnsubscribeSchema().load(single_argument(payload))["mac"])
        except (ValidationError, PlutoError) as error:
            return _encode_refusal(error)
        if feed := self._feeds.get(sid):
            feed.unfollow_log(mac)
        self._logs.hub.remove_listener(mac, (sid,))
        return {"ok": True, "mac": mac}

    def _get_feed(self, sid: str) -> LogFeed:
        if sid not in self._feeds:
            server = self._server.server
            self._feeds[sid] = LogFeed(
                lambda event, data: server.emit(event, data, to=sid), lambda: count_queued_packets(server, sid)
            )
        return self._feeds[sid]


def _encode_refusal(error: ValidationError | PlutoError) -> Acknowledgement:
    if isinstance(error, PlutoError):
        return {"ok": False, "error": str(error)}
    return {"ok": False, "error": "Some fields are wrong", "details": error.messages}
