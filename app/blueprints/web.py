"""The web interface and the plain table in its place, health checks and metrics."""

from __future__ import annotations

from flask import Blueprint, Flask, Response, abort, request, stream_template
from flask.typing import ResponseReturnValue
from jinja2.environment import TemplateStream

from app.blueprints.base import current_runtime
from app.errors import NotFound
from app.schemas.socketio import build_asyncapi
from app.services.devices.overview import device_row, summarise_fleet
from app.throttle import throttled
from app.version import VERSION
from app.web_files import WebFile

blueprint = Blueprint("web", __name__)

PLAIN_PAGES = ("index.html", "sign_in.html")
# Template parts per chunk: about thirty miners.
PARTS_AT_ONCE = 600
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
IMMUTABLE = "public, max-age=31536000, immutable"
NOT_BUILT = "The web interface is not built: run `make` where npm or PyPI can be reached, then restart the service"


def template_source(app: Flask, page: str) -> str:
    """Return the source of a template."""
    environment = app.jinja_env
    assert environment.loader  # noqa: S101
    return environment.loader.get_source(environment, page)[0]


@blueprint.get("/")
def home_page() -> Response:
    file = find_web_file()
    return send_web_file(file) if file else send_plain_table()


@blueprint.get("/docs")
def docs_page() -> Response:
    if not current_runtime().web_files:
        raise NotFound(NOT_BUILT)
    return send_web_file(find_web_file() or abort(404))


@blueprint.get("/assets/<name>")
def asset_file(name: str) -> Response:
    return send_web_file(find_web_file() or abort(404))


def find_web_file() -> WebFile | None:
    """Return the file of the web interface at the path of this request."""
    return current_runtime().web_files.get(request.path)


def send_web_file(file: WebFile) -> Response:
    """Return the file, compressed if the client accepts that, or 304 if the client has it."""
    is_compressed = request.accept_encodings["gzip"] > 0
    response = Response(file.compressed if is_compressed else file.content, content_type=file.content_type)
    if is_compressed:
        response.content_encoding = "gzip"
    response.vary.add("Accept-Encoding")
    response.headers["Cache-Control"] = IMMUTABLE if file.is_immutable else "no-cache"
    # Weak, because both encodings have the same.
    response.set_etag(file.etag, weak=True)
    response.make_conditional(request)
    return response


def send_plain_table() -> Response:
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


@blueprint.get("/asyncapi.json")
def asyncapi() -> ResponseReturnValue:
    return build_asyncapi()


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
