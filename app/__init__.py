"""Pluto: finds Bitaxe-family miners, registers them, watches them and shows them."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask_smorest import Api
from prometheus_flask_exporter import PrometheusMetrics

from app.blueprints import dashboards, devices, discovery, drift, jobs, logs, presets, system, web
from app.blueprints.base import OrjsonProvider
from app.blueprints.errors import register_errors
from app.blueprints.sockets import Sockets
from app.runtime import Runtime
from app.security import BrowserGuard
from app.settings import Settings
from app.version import VERSION

# A list of 10,000 MACs fits; so does a device object of the frontend's with eight pools and their certificates.
MAX_BODY = 1024 * 1024


def create_app(settings: Settings, **collaborators: Any) -> Flask:
    """The WSGI application. Starts nothing: `app.extensions["pluto"].start()` does, after fork. `collaborators` go to
    Runtime."""
    app = Flask(__name__)
    app.json = OrjsonProvider(app)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.config.update(
        MAX_CONTENT_LENGTH=MAX_BODY,
        API_TITLE="Pluto",
        API_VERSION=VERSION,
        OPENAPI_VERSION="3.0.3",
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
    )
    runtime = app.extensions["pluto"] = Runtime(settings, **collaborators)
    PrometheusMetrics(app, path=None, group_by="url_rule", registry=runtime.registry)
    api = Api(app)
    for resource in (dashboards, devices, discovery, drift, jobs, logs, presets, system):
        api.register_blueprint(resource.blueprint)
    app.register_blueprint(web.blueprint)
    register_errors(app)
    guard = BrowserGuard(settings.allowed_hosts, settings.allowed_origins)
    sockets = Sockets(runtime, guard.origin_allowed)
    sockets.init_app(app)
    runtime.health.watch_clients(lambda: sockets.clients)
    app.wsgi_app = guard.wrap(app.wsgi_app)  # type: ignore[method-assign]
    return app
