"""/devices/:mac/logs: the log lines of a miner."""

from __future__ import annotations

from typing import Any

from flask import Response, request
from flask.typing import ResponseReturnValue

from app.blueprints.base import Blueprint, current_runtime
from app.schemas.log import DownloadSchema, LogEnvelope, LogQuerySchema, line_fields
from app.services.logs.log_files import log_file_stem
from app.services.logs.log_filter import format_entry
from app.services.logs.service import LogPage

blueprint = Blueprint("logs", __name__, url_prefix="/devices", description="Logs of miners")

TEXT = "text/plain; charset=utf-8"


@blueprint.get("/<mac:mac>/logs")
@blueprint.arguments(LogQuerySchema, location="query")
@blueprint.response(
    200, LogEnvelope, description="Lines of the ring buffer, oldest first; text/plain by Accept or `format`"
)
@blueprint.document_error(404, "Device not found")
@blueprint.doc(responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}})
def get_logs(query: dict[str, Any], mac: str) -> ResponseReturnValue:
    """Read the log of a miner

    Lines of the ring buffer, without a stream to the miner. A log that the miner stores itself (AxeOS 2.14 and
    later) is fetched once.
    """
    page = current_runtime().logs.read_page(mac, query["wanted"])
    if _wants_text(query["format"]):
        return Response("".join(f"{format_entry(entry)}\n" for entry in page.entries), content_type=TEXT)
    return {"message": "Logs retrieved successfully", "data": _serialise_page(page)}


@blueprint.get("/<mac:mac>/logs/download")
@blueprint.arguments(DownloadSchema, location="query")
@blueprint.response(200, content_type="text/plain", description="The ring buffer; with `follow` also each new line")
@blueprint.document_error(404, "Device not found")
def download_logs(query: dict[str, Any], mac: str) -> Response:
    """Download the log of a miner

    The ring buffer as text. With `follow=1` the answer goes on with each new line.
    """
    logs = current_runtime().logs
    known, text = logs.follow_log(mac) if query["follow"] else logs.download_log(mac)
    named = f'attachment; filename="{log_file_stem(known)}.log"'
    return Response(text, content_type=TEXT, headers={"Content-Disposition": named, "Cache-Control": "no-store"})


def _wants_text(stated: str | None) -> bool:
    best = request.accept_mimetypes.best_match(("application/json", "text/plain"))
    return stated == "text" if stated else best == "text/plain"


def _serialise_page(page: LogPage) -> dict[str, Any]:
    return {
        "mac": page.log.mac,
        "epoch": page.log.epoch,
        "state": str(page.state),
        **({"reason": page.reason} if page.reason else {}),
        "last": page.log.last_seq,
        "dropped": page.log.dropped,
        "lines": [line_fields(entry) for entry in page.entries],
    }
