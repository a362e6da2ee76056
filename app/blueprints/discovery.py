"""/devices/discover and /devices/discovered: bare lists, as the Node backend answers."""

from __future__ import annotations

from typing import Any

from app.blueprints.base import Blueprint, runtime
from app.models import Found
from app.schemas.discovery import DiscoveredSchema, DiscoverSchema, FoundSchema
from app.services.discovery.filters import Query

blueprint = Blueprint("discovery", __name__, url_prefix="/devices", description="Miners on the network")


@blueprint.get("/discover")
@blueprint.arguments(DiscoverSchema, location="query")
@blueprint.response(200, FoundSchema(many=True), description="What a scan of the network, or of one address, finds now")
@blueprint.alt(400, "The address is no address, or outside the networks in which miners are contacted")
@blueprint.alt(502, "The configured discovery service failed")
def discover(query: dict[str, Any]) -> list[Found]:
    return runtime().discovery.discover(query.get("ip"), query.get("mac"))


@blueprint.get("/discovered")
@blueprint.arguments(DiscoveredSchema, location="query")
@blueprint.response(200, FoundSchema(many=True), description="What was seen before")
@blueprint.alt(502, "The configured discovery service failed")
def discovered(query: Query) -> list[Found]:
    return runtime().discovery.discovered(query)
