"""The web page at /, health checks and metrics."""

from __future__ import annotations

from flask import Blueprint, Flask, Response, stream_template
from flask.typing import ResponseReturnValue
from jinja2.environment import TemplateStream

from app.blueprints.base import current_runtime
from app.services.devices.overview import device_row, summarise_fleet
from app.throttle import throttled
from app.version import VERSION

blueprint = Blueprint("web", __name__)

PAGES = ("index.html", "sign_in.html")
# Template parts per chunk: about thirty miners.
PARTS_AT_ONCE = 600
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def template_source(app: Flask, page: str) -> str:
    """Return the source of a template."""
    environment = app.jinja_env
    assert environment.loader  # noqa: S101
    return environment.loader.get_source(environment, page)[0]


@blueprint.get("/")
def page() -> Response:
    devices = current_runtime().devices.search_devices()
    parts = TemplateStream(
        stream_template(
            "index.html",
            any=bool(devices),
            rows=map(device_row, devices),
            totals=summarise_fleet(devices),
            version=VERSION,
        )
    )
    parts.enable_buffering(PARTS_AT_ONCE)
    return Response(throttled(parts), mimetype="text/html")


@blueprint.get("/metrics")
def metrics() -> Response:
    return Response(current_runtime().metrics.render_metrics(), content_type=METRICS_TYPE)


@blueprint.get("/healthz")
def alive() -> ResponseReturnValue:
    return {"status": "ok", "version": VERSION}


@blueprint.get("/readyz")
def ready() -> ResponseReturnValue:
    checks = current_runtime().readiness()
    return {"ready": all(checks.values()), "checks": checks}, 200 if all(checks.values()) else 503


@blueprint.get("/socket/io")
def socket_started() -> ResponseReturnValue:
    """Answer the Node backend's route that started its Socket.IO server; ours always listens."""
    return {"message": "Socket started listening to devices"}
