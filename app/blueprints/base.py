"""The base of every blueprint: access to the services, the request parser, the answer envelope."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import wraps
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

import flask_smorest
import orjson
from flask import Flask, Request, Response, current_app, request
from flask.json.provider import JSONProvider
from webargs.core import missing
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest, UnsupportedMediaType
from werkzeug.routing import BaseConverter

from app.blueprints.openapi import complete_document, load_examples
from app.miners.mac import canonical_mac
from app.schemas.base import ProblemSchema
from app.schemas.device import BATCH
from app.security.tokens import CALLER, Caller, Scope

if TYPE_CHECKING:
    from app.runtime import Runtime
    from app.services.devices.fleet import Tracked

JSON = "application/json"
_CONVERTER = re.compile(r"<mac:")


def current_runtime() -> Runtime:
    """The services of the app that handles this request."""
    return cast("Runtime", current_app.extensions["pluto"])


def current_actor() -> str:
    """Return the name of the caller's token, else the peer's address."""
    caller = _current_caller()
    return caller.name if caller else request.remote_addr or "unknown"


def may_see_secrets() -> bool:
    """Return True if this request has a valid control token; always False if none is configured."""
    caller = _current_caller()
    return caller is not None and caller.scope is Scope.CONTROL


def _current_caller() -> Caller | None:
    return cast("Caller | None", request.environ.get(CALLER))


class OrjsonProvider(JSONProvider):
    """Strict JSON: no NaN in either direction, and a body nested a thousand deep is a parse error, not a
    RecursionError."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        # marshmallow's errors of a list have the index as key.
        return orjson.dumps(obj, option=orjson.OPT_NON_STR_KEYS).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return orjson.loads(s)


class RequestParser(FlaskParser):
    """Invalid input is 400, not webargs' 422. A body without a JSON content type is 415: webargs would treat it as
    empty."""

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


class MacConverter(BaseConverter):
    """`<mac:name>` in a rule: the view gets the canonical MAC, or other text as it is, which no device has."""

    def to_python(self, value: str) -> str:
        return canonical_mac(value) or value


def url_rule(asked: Request) -> str | None:
    """Return the rule of a request without its converters, as the label of the HTTP metrics has it."""
    return _CONVERTER.sub("<", str(asked.url_rule)) if asked.url_rule else None


class Api(flask_smorest.Api):  # type: ignore[misc]
    """Documents this service's error schema, not the library's."""

    ERROR_SCHEMA = ProblemSchema

    def __init__(self, app: Flask) -> None:
        app.url_map.converters["mac"] = MacConverter
        super().__init__(app)
        self.register_converter(MacConverter, lambda converter: {"type": "string", "minLength": 1})

    def _openapi_json(self) -> Response:
        """Serve the document with examples and common errors."""
        document = complete_document(self.spec.to_dict(), load_examples())
        return Response(orjson.dumps(document), mimetype=JSON)


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]  # the library has no types
    ARGUMENTS_PARSER = RequestParser()

    def arguments(self, schema: Any, *, location: str = "json", required: bool = True, **kwargs: Any) -> Any:
        """Reject an empty body if one is `required`: the library only documents that, and treats it as `{}`."""
        parsed = super().arguments(schema, location=location, required=required, **kwargs)

        def decorator(view: Callable[..., Any]) -> Any:
            @wraps(view)
            def checked(*args: Any, **names: Any) -> Any:
                if location == "json" and required and not request.get_data():
                    raise BadRequest("Send a JSON object in the body")
                return view(*args, **names)

            return parsed(checked)

        return decorator

    def document_error(self, status: int, description: str) -> Any:
        """Document an error answer."""
        return self.alt_response(status, schema=ProblemSchema, description=description)


def device_answer(message: str, devices: Tracked | Sequence[Tracked]) -> Response:
    """Return the success envelope around encoded devices. A long list is streamed."""
    encoder, before = current_runtime().encoder, b'{"message":' + orjson.dumps(message) + b',"data":'
    if not isinstance(devices, Sequence):
        return Response(before + encoder.encode_device(devices) + b"}", mimetype=JSON)
    pieces = chain([before], encoder.encode_devices(devices), [b"}"])
    return Response(pieces if len(devices) > BATCH else b"".join(pieces), mimetype=JSON)


def tagged_answer(message: str, devices: Sequence[Tracked]) -> Response:
    """Return the answer with an ETag, or 304 if the caller already has it."""
    tag = current_runtime().encoder.compute_etag(devices)
    response = Response(status=304) if request.if_none_match.contains_weak(tag) else device_answer(message, devices)
    response.set_etag(tag)
    response.headers["Cache-Control"] = "no-cache"
    return response
