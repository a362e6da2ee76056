"""/about: the version and the state of the service itself."""

from __future__ import annotations

from typing import Any

from app.blueprints.base import Blueprint, current_runtime
from app.schemas.about import AboutEnvelope, serialise_about

blueprint = Blueprint("about", __name__, description="The service itself")


@blueprint.get("/about")
@blueprint.response(200, AboutEnvelope, description="Version, resources, counts")
def get_about() -> dict[str, Any]:
    """Read version and resource usage

    What the service itself uses and does. The state of the store is at `/admin/store`.
    """
    runtime = current_runtime()
    metrics = runtime.service_metrics
    about = serialise_about(
        runtime.resource_usage.read_usage(),
        runtime.fleet.count_devices(),
        metrics.count_polls(),
        metrics.count_clients(),
    )
    return {"message": "State retrieved successfully", "data": about}
