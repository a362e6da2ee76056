"""Schemas of backups and the store's state."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from app.schemas.base import BaseSchema, envelope
from app.store.database import Database


class BackupQuerySchema(BaseSchema):
    secrets = fields.Boolean(load_default=False, metadata={"description": "Include passwords; needs a control token"})


class StoreRepairSchema(BaseSchema):
    damage = fields.String(required=True, metadata={"description": "The damage that was found"})
    kept = fields.String(required=True, metadata={"description": "The new name of the damaged directory in DATA_DIR"})
    recovered = fields.Integer(required=True, metadata={"description": "Number of keys recovered"})
    unreadable = fields.Integer(required=True, metadata={"description": "Number of places that could not be read"})


class StoreSchema(BaseSchema):
    name = fields.String(required=True)
    writable = fields.Boolean(required=True)
    failure = fields.String(allow_none=True, required=True, metadata={"description": "Why it cannot be written"})
    repair = fields.Nested(
        StoreRepairSchema, allow_none=True, required=True, metadata={"description": "The repair at this start"}
    )


StoresEnvelope = envelope(fields.List(fields.Nested(StoreSchema)), "StoresAnswer")


def serialise_store(database: Database) -> dict[str, Any]:
    repair = database.repair
    return {
        "name": database.path.name,
        "writable": database.is_open and database.failure is None,
        "failure": str(database.failure) if database.failure else None,
        "repair": repair
        and {
            "damage": repair.damage,
            "kept": repair.kept.name,
            "recovered": repair.recovered,
            "unreadable": repair.unreadable,
        },
    }
