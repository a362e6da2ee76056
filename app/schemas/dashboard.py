"""Schemas of published dashboards, as the Node backend answered."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from app.schemas.base import BaseSchema
from app.services.dashboards.boards import Board

PUBLIC_URL = "/grafana/public-dashboards/{token}?orgId=1"


class GrafanaDataSchema(BaseSchema):
    """Grafana's public row, last known state."""

    uid = fields.String(required=True)
    dashboardUid = fields.String(required=True)
    accessToken = fields.String(required=True, metadata={"description": "Not a secret: it is part of the link"})
    isEnabled = fields.Boolean(required=True)
    timeSelectionEnabled = fields.Boolean()
    annotationsEnabled = fields.Boolean()
    share = fields.String()
    createdBy = fields.Integer()
    updatedBy = fields.Integer()
    createdAt = fields.String()
    updatedAt = fields.String()


class DashboardSchema(BaseSchema):
    name = fields.String(required=True, metadata={"description": "The device's hostname, or `overview`"})
    uid = fields.String(required=True)
    grafanaData = fields.Nested(GrafanaDataSchema, required=True)
    publicUrl = fields.String(
        required=True,
        metadata={"description": "Relative to the frontend. It has a query: append `&theme=..`"},
    )
    grafana = fields.String(metadata={"description": "`unavailable` while Grafana does not answer; absent otherwise"})


def serialise_dashboard(board: Board, available: bool) -> dict[str, Any]:
    """Serialise a published board with its last known link, whether Grafana answers now or not."""
    return {
        "name": board.name,
        "uid": board.uid,
        "grafanaData": board.row,
        "publicUrl": PUBLIC_URL.format(token=board.access_token),
        **({} if available else {"grafana": "unavailable"}),
    }
