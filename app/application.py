"""The WSGI application: Flask, Socket.IO, the guard and the services."""

from __future__ import annotations

import random
from collections.abc import Callable

from flask import Flask
from prometheus_flask_exporter import PrometheusMetrics

from app.blueprints import (
    about,
    admin,
    dashboards,
    devices,
    discovery,
    drift,
    event_log,
    history,
    jobs,
    logs,
    presets,
    prometheus,
    system,
    web,
)
from app.blueprints.base import Api, OrjsonProvider, url_rule
from app.blueprints.errors import register_errors
from app.clock import Clock
from app.draining import RequestDrain
from app.runtime import Runtime
from app.security.engine_io import is_engine_io
from app.security.guard import RequestGuard
from app.security.request_bodies import MAX_BODY_BYTES
from app.services.logs.reader_policy import ReaderPolicy
from app.settings import Settings
from app.socketio.server import SocketIoServer
from app.subscribers import subscribers
from app.version import VERSION


def create_app(
    settings: Settings,
    *,
    clock: Clock | None = None,
    rng: Callable[[], float] | None = None,
    log_policy: ReaderPolicy | None = None,
) -> Flask:
    """Return the WSGI application. Nothing is started: `app.extensions["pluto"].start()` does that after the fork."""
    app = Flask(__name__, static_folder=None)
    app.json = OrjsonProvider(app)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.config.update(
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,
        API_TITLE="Pluto",
        API_VERSION=VERSION,
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
    )
    runtime = app.extensions["pluto"] = Runtime(
        settings, clock or Clock(), rng or random.random, log_policy or ReaderPolicy()
    )
    PrometheusMetrics(app, path=None, group_by=url_rule, registry=runtime.registry)
    api = Api(app)
    for resource in (
        about,
        admin,
        dashboards,
        devices,
        discovery,
        drift,
        event_log,
        history,
        jobs,
        logs,
        presets,
        prometheus,
        system,
    ):
        api.register_blueprint(resource.blueprint)
    app.register_blueprint(web.blueprint)
    register_errors(app)
    guard = app.extensions["guard"] = RequestGuard(
        settings,
        runtime.clock.monotonic,
        lambda: len(runtime.fleet) + runtime.discovery.seen_count,
        [web.template_source(app, page) for page in web.PLAIN_PAGES],
        runtime.web_files.keys(),
        runtime.service_metrics.count_refused_request,
    )
    sockets = SocketIoServer(runtime, guard.origin_check.is_origin_allowed)
    sockets.init_app(app)
    guard.guard_socketio(sockets.server.server)
    runtime.service_metrics.register_clients(lambda: sockets.client_count)
    drain = RequestDrain(is_long_lived=is_engine_io)
    runtime.events.subscribe_all(subscribers(runtime, sockets, drain))
    app.wsgi_app = guard.wrap_application(drain.wrap_application(app.wsgi_app))  # type: ignore[method-assign]
    return app
