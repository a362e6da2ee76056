"""The Socket.IO server: sends events about devices to all clients. Path and events are those of the Node backend."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import orjson
from flask import Flask, request
from flask_socketio import SocketIO, emit

from app.events import DeviceFailed, DeviceObserved, DeviceRemoved, DriftChanged, JobUpdated, Stopping
from app.runtime import Runtime
from app.schemas.device import drift_on_the_wire
from app.security.engine_io import SOCKET_IO_PATH, is_engine_io
from app.socketio.backpressure import bound
from app.socketio.subscriptions import LogSockets


class _Json:
    """The JSON module for python-socketio. A Fragment passes encoded bytes through, without python-socketio's search
    for binary parts in each payload."""

    @staticmethod
    def dumps(obj: Any, **kwargs: Any) -> str:
        return orjson.dumps(obj).decode()

    @staticmethod
    def loads(text: str | bytes, **kwargs: Any) -> Any:
        return orjson.loads(text)


class Sockets:
    """Owns the Socket.IO server. All clients share one switch for log lines, as in the Node backend."""

    def __init__(self, runtime: Runtime, origin_allowed: Callable[[str | None, dict[str, Any]], bool]) -> None:
        self.server = SocketIO(
            async_mode="gevent",
            path=SOCKET_IO_PATH,
            cors_allowed_origins=origin_allowed,
            json=_Json,
            ping_interval=10,
            ping_timeout=5,
            max_http_buffer_size=64 * 1024,
            serve_client=False,
        )
        self._encoder = runtime.encoder
        self._health = runtime.health
        self._logs = LogSockets(self.server, runtime.logs, runtime.fleet.find, lambda: self._clients)
        self._clients = 0

    @property
    def clients(self) -> int:
        return self._clients

    def init_app(self, app: Flask) -> None:
        flask_only = app.wsgi_app
        self.server.init_app(app)
        self._go_away = bound(self.server.server.eio, self._health.events_dropped)
        app.wsgi_app = _route(app.wsgi_app, flask_only)  # type: ignore[method-assign]
        self.server.on_event("connect", self._connected)
        self.server.on_event("disconnect", self._disconnected)
        self.server.on_event("enableLogsListening", lambda *_: self._switch_logs(True))
        self.server.on_event("disableLogsListening", lambda *_: self._switch_logs(False))
        self.server.on_event("checkLogsListening", lambda *_: emit("logsListeningStatus", self._logs.broadcast.is_on))

    def _connected(self, *_: Any) -> None:
        self._clients += 1

    def _disconnected(self, *_: Any) -> None:
        self._clients -= 1
        self._logs.left(request.sid)  # type: ignore[attr-defined]  # flask-socketio's

    def _switch_logs(self, on: bool) -> None:
        self._logs.broadcast.switch(on)
        self._emit("logsListeningStatus", on)

    def _device(self, event: str, tracked: Any) -> None:
        if self._clients:
            self._emit(event, orjson.Fragment(self._encoder.one(tracked)))

    def on_device_observed(self, event: DeviceObserved) -> None:
        """Send `stat_update`."""
        self._device("stat_update", event.tracked)

    def on_device_failed(self, event: DeviceFailed) -> None:
        """Send `error`."""
        self._device("error", event.tracked)

    def on_stopping(self, event: Stopping) -> None:
        self._go_away()

    def on_device_removed(self, event: DeviceRemoved) -> None:
        self._emit("device_removed", {"ipRemoved": event.ip, "remainingIps": event.remaining_ips, "mac": event.mac})

    def on_job_updated(self, event: JobUpdated) -> None:
        device = {} if event.device is None else {"device": event.device}
        self._emit("job_update", {"id": event.id, "state": event.state, "counts": event.counts, **device})

    def on_drift_changed(self, event: DriftChanged) -> None:
        self._emit("drift", {"mac": event.tracked.mac, "drift": drift_on_the_wire(event.tracked) or []})

    def _emit(self, event: str, payload: Any) -> None:
        if self._clients:
            self.server.emit(event, payload)


def _route(
    engine: Callable[..., Iterable[bytes]], flask_only: Callable[..., Iterable[bytes]]
) -> Callable[..., Iterable[bytes]]:
    """Return the application that sends each request to Engine.IO or to Flask. Engine.IO matches its path only with a
    trailing slash; clients use both forms."""

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if not is_engine_io(environ):
            return flask_only(environ, start_response)
        environ["PATH_INFO"] = f"{SOCKET_IO_PATH}/"
        return engine(environ, start_response)

    return application
