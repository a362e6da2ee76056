"""The Socket.IO server: sends events about devices to all clients. Path and events are those of the Node backend."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import orjson
from flask import Flask
from flask_socketio import SocketIO, emit, join_room

from app.events import (
    DeviceFailed,
    DeviceObserved,
    DeviceRemoved,
    DriftChanged,
    EventLogged,
    JobUpdated,
    ScanUpdated,
    Stopping,
)
from app.runtime import Runtime
from app.schemas.device import serialise_drift
from app.schemas.discovery import serialise_scan
from app.schemas.event_log import serialise_event
from app.security.engine_io import SOCKET_IO_PATH, is_engine_io
from app.socketio.backpressure import install_limits
from app.socketio.event_context import current_sid
from app.socketio.fleet_feed import FleetFeed
from app.socketio.fleet_subscriptions import POLLS_ROOM, FleetSubscriptions
from app.socketio.log_subscriptions import LogSubscriptions


class _OrjsonModule:
    """The JSON module for python-socketio. A Fragment passes encoded bytes through, without python-socketio's search
    for binary parts in each payload."""

    @staticmethod
    def dumps(obj: Any, **kwargs: Any) -> str:
        return orjson.dumps(obj).decode()

    @staticmethod
    def loads(text: str | bytes, **kwargs: Any) -> Any:
        return orjson.loads(text)


class SocketIoServer:
    """Owns the Socket.IO server. All clients share one switch for log lines, as in the Node backend."""

    def __init__(self, runtime: Runtime, origin_allowed: Callable[[str | None, dict[str, Any]], bool]) -> None:
        self.server = SocketIO(
            async_mode="gevent",
            path=SOCKET_IO_PATH,
            cors_allowed_origins=origin_allowed,
            json=_OrjsonModule,
            ping_interval=10,
            ping_timeout=5,
            max_http_buffer_size=64 * 1024,
            serve_client=False,
        )
        self._encoder = runtime.encoder
        self._service_metrics = runtime.service_metrics
        self._log_subscriptions = LogSubscriptions(
            self.server, runtime.logs, runtime.fleet.find_device, lambda: self._client_count
        )
        self._client_count = 0
        self._fleet_feed = FleetFeed(
            runtime.fleet,
            runtime.rows,
            runtime.encoder,
            lambda event, payload, room: self.server.emit(event, payload, to=room),
            lambda: runtime.service_metrics.count_loop_crash("fleet_feed"),
            runtime.clock,
        )
        FleetSubscriptions(self.server, self._fleet_feed)

    @property
    def client_count(self) -> int:
        return self._client_count

    def init_app(self, app: Flask) -> None:
        flask_only = app.wsgi_app
        self.server.init_app(app)
        self._close_websockets = install_limits(self.server.server.eio, self._service_metrics.count_dropped_events)
        app.wsgi_app = _route_requests(app.wsgi_app, flask_only)  # type: ignore[method-assign]
        self.server.on_event("connect", self._handle_connect)
        self.server.on_event("disconnect", self._handle_disconnect)
        self.server.on_event("enableLogsListening", lambda *_: self._switch_log_broadcast(True))
        self.server.on_event("disableLogsListening", lambda *_: self._switch_log_broadcast(False))
        self.server.on_event(
            "checkLogsListening", lambda *_: emit("logsListeningStatus", self._log_subscriptions.broadcast.is_on)
        )

    def _handle_connect(self, *_: Any) -> None:
        self._client_count += 1
        join_room(POLLS_ROOM)

    def _handle_disconnect(self, *_: Any) -> None:
        self._client_count -= 1
        sid = current_sid()
        self._log_subscriptions.remove_client(sid)
        self._fleet_feed.remove_client(sid)

    def _switch_log_broadcast(self, on: bool) -> None:
        self._log_subscriptions.broadcast.switch_broadcast(on)
        self._emit_to_all("logsListeningStatus", on)

    def _emit_device(self, event: str, tracked: Any) -> None:
        if self._client_count > self._fleet_feed.subscriber_count:
            self.server.emit(event, orjson.Fragment(self._encoder.encode_device(tracked)), to=POLLS_ROOM)

    def on_device_observed(self, event: DeviceObserved) -> None:
        """Send `stat_update`."""
        self._emit_device("stat_update", event.tracked)

    def on_device_failed(self, event: DeviceFailed) -> None:
        """Send `stat_update`, which has `tracing: false`, then `error`. The Node project's current frontend updates a
        device by the first and shows a message by the second; its older one needs only `error`."""
        self._emit_device("stat_update", event.tracked)
        self._emit_device("error", event.tracked)

    def on_stopping(self, event: Stopping) -> None:
        self._fleet_feed.stop()
        self._close_websockets()

    def on_device_removed(self, event: DeviceRemoved) -> None:
        self._emit_to_all(
            "device_removed", {"ipRemoved": event.ip, "remainingIps": event.remaining_ips, "mac": event.mac}
        )

    def on_job_updated(self, event: JobUpdated) -> None:
        device = {} if event.device is None else {"device": event.device}
        paused = {"paused": True} if event.paused else {}
        self._emit_to_all(
            "job_update", {"id": event.id, "state": event.state, "counts": event.counts, **paused, **device}
        )

    def on_drift_changed(self, event: DriftChanged) -> None:
        self._emit_to_all("drift", {"mac": event.tracked.mac, "drift": serialise_drift(event.tracked) or []})

    def on_scan_updated(self, event: ScanUpdated) -> None:
        if self._client_count:
            self._emit_to_all("scan_update", serialise_scan(event.state))

    def on_event_logged(self, event: EventLogged) -> None:
        self._emit_to_all("event", serialise_event(event.event))

    def _emit_to_all(self, event: str, payload: Any) -> None:
        if self._client_count:
            self.server.emit(event, payload)


def _route_requests(
    engine_io: Callable[..., Iterable[bytes]], flask_only: Callable[..., Iterable[bytes]]
) -> Callable[..., Iterable[bytes]]:
    """Return the application that sends each request to Engine.IO or to Flask. Engine.IO matches its path only with a
    trailing slash; clients use both forms."""

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if not is_engine_io(environ):
            return flask_only(environ, start_response)
        environ["PATH_INFO"] = f"{SOCKET_IO_PATH}/"
        return engine_io(environ, start_response)

    return application
