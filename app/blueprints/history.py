"""The history of a device, of the fleet and of a tag."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from app.blueprints.base import JSON, Blueprint, current_runtime
from app.miners.mac import canonical_mac
from app.schemas.history import (
    DevicesHistoryEnvelope,
    DevicesHistoryQuerySchema,
    FleetHistoryQuerySchema,
    HistoryEnvelope,
    HistoryQuerySchema,
    format_csv,
    serialise_device_histories,
    serialise_history,
)
from app.services.history.queries import HistoryAnswer, HistoryRange

blueprint = Blueprint("history", __name__, description="What was measured before")

CSV = "text/csv"
_ALSO_CSV = {"responses": {200: {"content": {CSV: {"schema": {"type": "string"}}}}}}


@blueprint.get("/devices/<mac:mac>/history")
@blueprint.arguments(HistoryQuerySchema, location="query")
@blueprint.response(200, HistoryEnvelope, description="JSON, or CSV by the Accept header or `format`")
@blueprint.doc(**_ALSO_CSV)
@blueprint.document_error(400, "A metric, a time or the number of points is invalid")
@blueprint.document_error(404, "Device not found")
def get_device_history(query: dict[str, Any], mac: str) -> Response:
    """Read the history of a device

    Metrics of one device on one time axis, from the coarsest tier that has the wanted resolution.
    """
    return _answer(query, current_runtime().history.queries.query_device(mac, query["metrics"], _range(query)))


@blueprint.get("/history/devices")
@blueprint.arguments(DevicesHistoryQuerySchema, location="query")
@blueprint.response(200, DevicesHistoryEnvelope, description="One series per registered device of the list")
@blueprint.document_error(400, "The metric, a time, the list or the number of points is invalid")
def get_device_histories(query: dict[str, Any]) -> Response:
    """Read one metric of several devices

    For the small charts of a table: one request for all rows in view. Devices that are not registered are left out.
    """
    macs = list(dict.fromkeys(canonical_mac(mac) or mac for mac in query["macs"]))
    asked = HistoryRange(query["start"], query["stop"], query["points"])
    answers = current_runtime().history.queries.query_devices(macs, query["metric"], asked)
    return Response(serialise_device_histories(query["metric"], answers), mimetype=JSON)


@blueprint.get("/history")
@blueprint.arguments(FleetHistoryQuerySchema, location="query")
@blueprint.response(200, HistoryEnvelope, description="Sums over the devices; JSON, or CSV")
@blueprint.doc(**_ALSO_CSV)
@blueprint.document_error(400, "A metric, a time or the number of points is invalid")
@blueprint.document_error(404, "No device has this tag")
def get_fleet_history(query: dict[str, Any]) -> Response:
    """Read the history of the fleet

    Sums over all devices, or over those with a tag.
    """
    queries = current_runtime().history.queries
    return _answer(query, queries.query_totals(query.get("tag"), query["metrics"], _range(query)))


def _range(query: dict[str, Any]) -> HistoryRange:
    return HistoryRange(query["start"], query["stop"], query["points"])


def _answer(query: dict[str, Any], answer: HistoryAnswer) -> Response:
    wants_csv = request.accept_mimetypes.best_match([JSON, CSV], JSON) == CSV
    if query.get("format", "csv" if wants_csv else "json") == "json":
        return Response(serialise_history(answer), mimetype=JSON)
    headers = {"Content-Disposition": f'attachment; filename="pluto-history-{answer.tier}.csv"'}
    return Response(format_csv(answer), mimetype=CSV, headers=headers)
