"""/devices/discover and /devices/discovered: bare lists, as the Node backend answers; and scans in the background."""

from __future__ import annotations

from typing import Any

from app.blueprints.base import Blueprint, current_runtime
from app.models import DiscoveredMiner
from app.schemas.discovery import (
    DiscoveredSchema,
    DiscoverSchema,
    FoundSchema,
    IgnoredEnvelope,
    IgnoredOneEnvelope,
    ScanEnvelope,
    serialise_ignored,
    serialise_scan,
)
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
    """Scan the network now

    Scans all networks, or asks one address, and answers when it is done. `POST /devices/scan` does the same in the
    background. Registers nothing.
    """
    return current_runtime().discovery.discover_miners(query.get("ip"), query.get("mac"))


@blueprint.get("/discovered")
@blueprint.arguments(DiscoveredSchema, location="query")
@blueprint.response(200, FoundSchema(many=True), description="The miners that were discovered before")
@blueprint.document_error(502, "The configured discovery service failed")
def discovered(query: DiscoveryQuery) -> list[DiscoveredMiner]:
    """List the miners that were seen

    The miners that earlier scans and announcements found, for seven days. Nothing is sent to the network.
    """
    return current_runtime().discovery.list_seen(query)


@blueprint.post("/scan")
@blueprint.response(202, ScanEnvelope, description="The state of the scan that was started, or runs already")
def start_scan() -> tuple[dict[str, Any], int]:
    """Start a scan of the network

    The scan probes every address of the networks that are scanned, in the background; a second request joins it.
    GET /devices/scan and the Socket.IO event `scan_update` have its progress and the miners found so far. No miner is
    registered by it.
    """
    state = current_runtime().scans.start_scan()
    return {"message": "Scan started successfully", "data": serialise_scan(state)}, 202


@blueprint.get("/scan")
@blueprint.response(200, ScanEnvelope, description="The running scan, else the last one since the service started")
def get_scan() -> dict[str, Any]:
    """Show the progress or the result of a scan

    The kind of each found miner is that of now: one that was registered or ignored after the scan is no longer `new`.
    """
    return {"message": "Scan retrieved successfully", "data": serialise_scan(current_runtime().scans.get_state())}


@blueprint.get("/ignored")
@blueprint.response(200, IgnoredEnvelope, description="By MAC")
def list_ignored() -> dict[str, Any]:
    """List the ignored miners

    A scan shows these miners as `ignored` instead of `new`. GET /devices/discover and GET /devices/discovered list
    them like any other.
    """
    miners = list(map(serialise_ignored, current_runtime().ignored.list_miners()))
    return {"message": "Ignored miners retrieved successfully", "data": miners}


@blueprint.put("/ignored/<mac:mac>")
@blueprint.response(200, IgnoredOneEnvelope, description="The entry; an existing one is not changed")
@blueprint.document_error(400, "This is no MAC address, the device is registered, or the list is full")
def ignore_miner(mac: str) -> dict[str, Any]:
    """Ignore a miner

    The entry stays until it is removed or the miner is registered. The miner need not have been seen.
    """
    entry = current_runtime().scans.ignore_miner(mac)
    return {"message": "Miner ignored successfully", "data": serialise_ignored(entry)}


@blueprint.delete("/ignored/<mac:mac>")
@blueprint.response(200, IgnoredOneEnvelope, description="The entry as it was")
@blueprint.document_error(404, "The miner is not ignored")
def stop_ignoring_miner(mac: str) -> dict[str, Any]:
    """Remove a miner from the ignored ones

    The next scan shows it as `new`.
    """
    entry = current_runtime().ignored.remove_miner(mac)
    return {"message": "Miner is no longer ignored", "data": serialise_ignored(entry)}
