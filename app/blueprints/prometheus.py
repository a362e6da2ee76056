"""/prometheus: queries as in Prometheus' HTTP API. Its errors have Prometheus' form too."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from app.blueprints.base import JSON, Blueprint, current_runtime
from app.blueprints.errors import field_errors, status_of
from app.errors import PlutoError, QueryError
from app.schemas.prometheus import InstantQuerySchema, QueryAnswerSchema, QueryErrorSchema, RangeQuerySchema
from app.services.prometheus_query.service import QueryAnswer

blueprint = Blueprint("prometheus", __name__, url_prefix="/prometheus", description="Queries as in Prometheus")

# Statuses of errors that do not state their type.
ERROR_TYPES = {400: "bad_data", 503: "unavailable"}
_ERRORS = {
    400: "A parameter is invalid, or the query is not PromQL",
    422: "The history cannot answer this query",
    502: "The configured Prometheus sent no usable answer",
    503: "The query took too long, or the configured Prometheus cannot be reached",
    504: "The configured Prometheus took too long",
}


def _document_errors(view: Any) -> Any:
    for status, description in _ERRORS.items():
        view = blueprint.alt_response(status, schema=QueryErrorSchema, description=description)(view)
    return view


@blueprint.get("/query")
@blueprint.arguments(InstantQuerySchema, location="query")
@blueprint.response(200, QueryAnswerSchema, description="The value of each series at one time")
@_document_errors
def run_query(query: dict[str, Any]) -> Response:
    """Evaluate a PromQL query

    Answered from the history in the format of Prometheus, or forwarded to PROMETHEUS_HOST.
    """
    return _make_response(current_runtime().prometheus_queries.run_query(query["query"], query["time"]))


@blueprint.get("/query_range")
@blueprint.arguments(RangeQuerySchema, location="query")
@blueprint.response(200, QueryAnswerSchema, description="The values of each series over a range of time")
@_document_errors
def run_range_query(query: dict[str, Any]) -> Response:
    """Evaluate a PromQL query over a time range

    Answered from the history in the format of Prometheus, or forwarded to PROMETHEUS_HOST.
    """
    return _make_response(current_runtime().prometheus_queries.run_range_query(query["query"], query["grid"]))


def _make_response(answer: QueryAnswer) -> Response:
    return Response(answer.body, answer.status, mimetype=JSON)


@blueprint.errorhandler(PlutoError)
def _handle_pluto_error(error: PlutoError) -> ResponseReturnValue:
    status = status_of(error)
    stated = error.error_type if isinstance(error, QueryError) else None
    return _error_body(str(error), stated or ERROR_TYPES.get(status, "internal")), status


@blueprint.errorhandler(HTTPException)
def _handle_http_error(error: HTTPException) -> ResponseReturnValue:
    status = error.code or 500
    problems = field_errors(getattr(error, "data", None)) or {}
    named = [f'invalid parameter "{name}": {" ".join(problem)}' for name, problem in problems.items()]
    sentence = "; ".join(named) or error.description or error.name
    return _error_body(sentence, ERROR_TYPES.get(status, "internal")), status


def _error_body(sentence: str, error_type: str) -> Response:
    return jsonify({"status": "error", "errorType": error_type, "error": sentence})
