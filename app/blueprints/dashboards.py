"""/dashboards: the public links, from the last known state. Grafana is not contacted."""

from __future__ import annotations

from typing import Any

from app.blueprints.base import Blueprint, current_runtime
from app.schemas.dashboard import DashboardSchema, serialise_dashboard

blueprint = Blueprint("dashboards", __name__, url_prefix="/dashboards", description="Grafana's public dashboards")


@blueprint.get("")
@blueprint.response(200, DashboardSchema(many=True), description="The overview first; empty without GF_HOST")
def list_dashboards() -> list[dict[str, Any]]:
    """List the dashboards in Grafana

    The dashboards that the service created and published. The list is empty unless GF_HOST is set.
    """
    dashboards = current_runtime().dashboards
    if dashboards is None:
        return []
    return [serialise_dashboard(board, dashboards.is_available) for board in dashboards.list_published()]
