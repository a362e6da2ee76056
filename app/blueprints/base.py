"""What every blueprint is built with: the way to the services, the request parser, the answer envelope."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

import flask_smorest
import orjson
from flask import Response, current_app, request
from flask.json.provider import JSONProvider
from webargs.core import missing
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from app.schemas.base import ProblemSchema

if TYPE_CHECKING:
    from app.runtime import Runtime
    from app.services.fleet import Tracked

JSON = "application/json"


def runtime() -> Runtime:
    """The services of the app that handles this request."""
    return cast("Runtime", current_app.extensions["pluto"])


def actor() -> str:
    """Who asks: the peer, until there are tokens with names."""
    return request.remote_addr or "unknown"


class OrjsonProvider(JSONProvider):
    """Strict JSON: no NaN in either direction, and a body nested a thousand deep is a parse error, not a
    RecursionError."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        # marshmallow's errors of a list are keyed by the index.
        return orjson.dumps(obj, option=orjson.OPT_NON_STR_KEYS).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return orjson.loads(s)


class RequestParser(FlaskParser):
    """Bad input is 400, not webargs' 422. A body that is not declared JSON is 415: webargs would take it for an empty
    one."""

    DEFAULT_VALIDATION_STATUS = 400

    def _raw_load_json(self, req: Any) -> Any:
        body = req.get_data(cache=True)
        if not body:
            return missing
        if not req.is_json:
            raise UnsupportedMediaType("Send the body as application/json")
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise BadRequest(f"The body is not valid JSON: {error}") from None


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]  # the library has no types
    ARGUMENTS_PARSER = RequestParser()

    def alt(self, status: int, description: str) -> Any:
        """Documents an error answer."""
        return self.alt_response(status, schema=ProblemSchema, description=description)


def answer(message: str, devices: Tracked | Iterable[Tracked]) -> Response:
    """The success envelope round devices that are encoded already."""
    encoder = runtime().encoder
    encoded = encoder.many(devices) if isinstance(devices, Iterable) else encoder.one(devices)
    return Response(b'{"message":' + orjson.dumps(message) + b',"data":' + encoded + b"}", mimetype=JSON)
