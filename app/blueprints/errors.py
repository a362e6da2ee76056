"""Errors as JSON: `error` and `message` with one sentence, `details` where there are some. The HTTP statuses are
defined only here."""

from __future__ import annotations

import logging
from typing import Any

from flask import Flask, abort, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from app import errors

log = logging.getLogger(__name__)

# The first class that matches decides.
STATUSES: tuple[tuple[type[errors.PlutoError], int], ...] = (
    (errors.Invalid, 400),
    (errors.AllSettingsRefused, 400),
    (errors.InvalidQuery, 400),
    (errors.UnsupportedQuery, 422),
    (errors.QueryTooLarge, 422),
    (errors.QueryTimeout, 503),
    (errors.HistoryOff, 503),
    (errors.PrometheusDown, 503),
    (errors.PrometheusTimeout, 504),
    (errors.PrometheusBroken, 502),
    (errors.NotFound, 404),
    (errors.NothingToRegister, 404),
    (errors.RetryLater, 429),
    (errors.StoreFull, 507),
    (errors.StoreError, 503),
    (errors.SecretsForbidden, 403),
    (errors.DiscoveryFailed, 502),
    (errors.WrongMiner, 409),
    (errors.DeviceInConflict, 409),
    (errors.DevicesBusy, 409),
    (errors.JobStateConflict, 409),
    (errors.IdempotencyKeyReused, 422),
    (errors.UnsupportedCommand, 400),
    (errors.DeviceLocked, 401),
    (errors.DeviceRefused, 401),
    (errors.OneTimeCodeRequired, 401),
    (errors.DeviceTimeout, 504),
    (errors.DeviceError, 502),
)

_SENTENCES = {
    400: "The request cannot be understood",
    404: "There is nothing at this path",
    405: "This path does not take this method",
    413: "The body is too large",
    415: "Send the body as application/json",
    500: "Internal error; see the service's log",
}


def register_errors(app: Flask) -> None:
    app.register_error_handler(errors.PlutoError, _handle_pluto_error)
    app.register_error_handler(HTTPException, _handle_http_error)
    app.before_request(_refuse_leading_slashes)


def _refuse_leading_slashes() -> None:
    """Answer 404 for `//..`: Werkzeug removes leading slashes before it matches, also without `merge_slashes`."""
    if request.environ["PATH_INFO"].startswith("//"):
        abort(404)


def status_of(error: errors.PlutoError) -> int:
    """Return the status of an error. A device's own 4xx is passed on; its 5xx becomes a gateway error."""
    if isinstance(error, errors.DeviceStatus) and 400 <= error.status < 500:
        return error.status
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)


def _handle_pluto_error(error: errors.PlutoError) -> ResponseReturnValue:
    details = error.body if isinstance(error, errors.DeviceStatus) else getattr(error, "details", None)
    headers = {"Retry-After": str(max(1, round(error.retry_after)))} if isinstance(error, errors.RetryLater) else {}
    return _error_body(str(error), details, isinstance(error, errors.NotFound)), status_of(error), headers


def _handle_http_error(error: HTTPException) -> ResponseReturnValue:
    """Handle errors of Werkzeug and webargs. An unhandled exception arrives here as a 500, after flask logged it."""
    if error.response is not None:
        return error.response
    details = field_errors(getattr(error, "data", None))
    status = error.code or 500
    stated = error.description if status in (400, 415) and not details else None
    sentence = "Some fields are wrong" if details else _SENTENCES.get(status, stated or error.name)
    return _error_body(stated or sentence, details, False), status, _kept_headers(error)


def _error_body(sentence: str, details: Any, missing: bool) -> Any:
    body: dict[str, Any] = {"error": sentence, "message": sentence}
    if details:
        body["details"] = details
    if missing:
        body["data"] = None
    return jsonify(body)


def field_errors(data: Any) -> Any:
    """Return errors by field; webargs nests them under their location (`json`, `query`)."""
    messages = (data or {}).get("messages") or {}
    return {field: problem for place in messages.values() for field, problem in place.items()} if messages else None


def _kept_headers(error: HTTPException) -> dict[str, str]:
    return {name: value for name, value in error.get_headers() if name.lower() in ("allow", "retry-after")}
