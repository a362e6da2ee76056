"""For people and for machines that watch the service: the page at /, health, metrics."""

from __future__ import annotations

from flask import Blueprint, Flask, Response, render_template
from flask.typing import ResponseReturnValue

from app.blueprints.base import runtime
from app.services.overview import overview, row
from app.version import VERSION

blueprint = Blueprint("web", __name__)

PAGES = ("index.html", "sign_in.html")
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def source_of(app: Flask, page: str) -> str:
    """The template as it stands in its file."""
    environment = app.jinja_env
    assert environment.loader  # noqa: S101
    return environment.loader.get_source(environment, page)[0]


@blueprint.get("/")
def page() -> str:
    devices = runtime().devices.search()
    return render_template(
        "index.html", rows=[row(each) for each in devices], totals=overview(devices), version=VERSION
    )


@blueprint.get("/metrics")
def metrics() -> Response:
    return Response(runtime().metrics.render(), content_type=METRICS_TYPE)


@blueprint.get("/healthz")
def alive() -> ResponseReturnValue:
    return {"status": "ok", "version": VERSION}


@blueprint.get("/readyz")
def ready() -> ResponseReturnValue:
    checks = runtime().readiness()
    return {"ready": all(checks.values()), "checks": checks}, 200 if all(checks.values()) else 503


@blueprint.get("/socket/io")
def socket_started() -> ResponseReturnValue:
    """The original made its Socket.IO server here; ours always listens, and clients still ask."""
    return {"message": "Socket started listening to devices"}
