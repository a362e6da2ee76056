"""/devices/discover and /devices/discovered: bare lists, as the Node backend answers."""

from __future__ import annotations

from typing import Any

from app.blueprints.base import Blueprint, current_runtime
from app.models import DiscoveredMiner
from app.schemas.discovery import DiscoveredSchema, DiscoverSchema, FoundSchema
from app.services.discovery.filters import DiscoveryQuery

blueprint = Blueprint("discovery", __name__, url_prefix="/devices", description="Miners on the network")


@blueprint.get("/discover")
@blueprint.arguments(DiscoverSchema, location="query")
@blueprint.response(
    200, FoundSchema(many=True), description="The miners found by a scan of the network, or at one address"
)
@blueprint.document_error(400, "The address is invalid, or outside the allowed networks")
@blueprint.document_error(502, "The configured discovery service failed")
def discover(query: dict[str, Any]) -> list[DiscoveredMiner]:
    return current_runtime().discovery.discover_miners(query.get("ip"), query.get("mac"))


@blueprint.get("/discovered")
@blueprint.arguments(DiscoveredSchema, location="query")
@blueprint.response(200, FoundSchema(many=True), description="The miners that were discovered before")
@blueprint.document_error(502, "The configured discovery service failed")
def discovered(query: DiscoveryQuery) -> list[DiscoveredMiner]:
    return current_runtime().discovery.list_seen(query)
