"""/admin: backups and the state of the store."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from typing import Any

from flask import Response

from app.blueprints.base import Blueprint, current_runtime, may_see_secrets
from app.errors import SecretsForbidden, StoreError
from app.schemas.admin import BackupQuerySchema, StoresEnvelope, serialise_history_store, serialise_store

blueprint = Blueprint("admin", __name__, url_prefix="/admin", description="Backups and the state of the store")

GZIP = "application/gzip"


@blueprint.get("/backup")
@blueprint.arguments(BackupQuerySchema, location="query")
@blueprint.response(200, {"format": "binary", "type": "string"}, content_type=GZIP, description="See docs/backup.md")
@blueprint.document_error(403, "Passwords need a control token")
def get_backup(query: dict[str, Any]) -> Response:
    """Download a backup

    A snapshot of everything that is stored, while the service runs: a gzipped archive that `python -m app.backup`
    restores.
    """
    if query["secrets"] and not may_see_secrets():
        raise SecretsForbidden
    backups = current_runtime().backups
    named = f'attachment; filename="{backups.filename}"'
    pieces = _reset_on_failure(backups.create_backup(secrets=query["secrets"], history=query["history"]))
    return Response(pieces, content_type=GZIP, headers={"Content-Disposition": named, "Cache-Control": "no-store"})


@blueprint.get("/store")
@blueprint.response(200, StoresEnvelope)
def get_store() -> dict[str, Any]:
    """Show the state of the store

    For each database whether it can be written and what was repaired at the start; for the history also its size
    and age.
    """
    runtime = current_runtime()
    history = serialise_history_store(runtime.stores.history, runtime.history.describe_state())
    data = [*map(serialise_store, runtime.stores), history, serialise_store(runtime.stores.events)]
    return {"message": "Store retrieved successfully", "data": data}


def _reset_on_failure(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Reset the connection on an error, so that an incomplete backup is not taken for a complete one."""
    try:
        yield from pieces
    except StoreError as error:
        raise ConnectionResetError(errno.ECONNRESET, str(error)) from None
