"""The Socket.IO events that subscribe to rows of the fleet and to single devices. Each is acknowledged with `{"ok":
true}` or `{"ok": false, "error": ..}`."""

from __future__ import annotations

from typing import Any

from flask_socketio import SocketIO, join_room, leave_room
from marshmallow import ValidationError

from app.schemas.device_row import WatchedDeviceSchema
from app.socketio.event_context import current_sid, single_argument
from app.socketio.fleet_feed import FLEET_ROOM, FleetFeed, device_room

POLLS_ROOM = "polls"
"""The clients that get `stat_update` and `error` of every device: all that did not subscribe to rows."""
MAX_WATCHED = 32
_NEEDS_MAC = {"ok": False, "error": "A mac is needed, such as {mac: '02:00:5e:00:00:03'}"}
_NOT_FOUND = {"ok": False, "error": "Device not found"}
_TOO_MANY = {"ok": False, "error": f"At most {MAX_WATCHED} devices can be watched at a time"}


class FleetSubscriptions:
    """Registers the handlers. The feed owns the subscriptions."""

    def __init__(self, server: SocketIO, feed: FleetFeed) -> None:
        self._server = server
        self._feed = feed
        server.on_event("subscribeFleet", self._handle_subscribe)
        server.on_event("unsubscribeFleet", self._handle_unsubscribe)
        server.on_event("subscribeDevice", self._handle_watch)
        server.on_event("unsubscribeDevice", self._handle_unwatch)

    def _handle_subscribe(self, *_: Any) -> dict[str, Any]:
        if self._is_connected():
            join_room(FLEET_ROOM)
            leave_room(POLLS_ROOM)
            self._feed.subscribe_fleet(current_sid())
        return {"ok": True}

    def _handle_unsubscribe(self, *_: Any) -> dict[str, Any]:
        if self._is_connected():
            leave_room(FLEET_ROOM)
            join_room(POLLS_ROOM)
        self._feed.unsubscribe_fleet(current_sid())
        return {"ok": True}

    def _handle_watch(self, *payload: Any) -> dict[str, Any]:
        mac = _read_mac(payload)
        if mac is None:
            return _NEEDS_MAC
        if not self._feed.is_registered(mac):
            return _NOT_FOUND
        watched = self._feed.list_watched(current_sid())
        if mac not in watched and len(watched) >= MAX_WATCHED:
            return _TOO_MANY
        if self._is_connected():
            join_room(device_room(mac))
            self._feed.watch_device(current_sid(), mac)
        return {"ok": True, "mac": mac}

    def _handle_unwatch(self, *payload: Any) -> dict[str, Any]:
        mac = _read_mac(payload)
        if mac is None:
            return _NEEDS_MAC
        if self._is_connected():
            leave_room(device_room(mac))
        self._feed.unwatch_device(current_sid(), mac)
        return {"ok": True, "mac": mac}

    def _is_connected(self) -> bool:
        """Return False for a client that left while its event waited."""
        return bool(self._server.server.manager.is_connected(current_sid(), "/"))


def _read_mac(payload: tuple[Any, ...]) -> str | None:
    try:
        return str(WatchedDeviceSchema().load(single_argument(payload))["mac"])
    except ValidationError:
        return None
