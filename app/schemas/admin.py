"""Schemas of backups and the store's state."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from marshmallow import fields

from app.clock import format_iso
from app.schemas.base import BaseSchema, envelope
from app.services.history.service import HistoryState
from app.store.database import Database


class BackupQuerySchema(BaseSchema):
    secrets = fields.Boolean(load_default=False, metadata={"description": "Include passwords; needs a control token"})
    history = fields.Boolean(
        load_default=False, metadata={"description": "Include history and events, which may be large"}
    )


class StoreRepairSchema(BaseSchema):
    damage = fields.String(required=True, metadata={"description": "The damage that was found"})
    kept = fields.String(required=True, metadata={"description": "Path of the damaged files in DATA_DIR"})
    recovered = fields.Integer(required=True, metadata={"description": "Number of keys recovered"})
    unreadable = fields.Integer(required=True, metadata={"description": "Number of places that could not be read"})


class StoreSchema(BaseSchema):
    name = fields.String(required=True)
    writable = fields.Boolean(required=True)
    failure = fields.String(allow_none=True, required=True, metadata={"description": "Why it cannot be written"})
    repair = fields.Nested(
        StoreRepairSchema, allow_none=True, required=True, metadata={"description": "The repair at this start"}
    )


class HistoryStateSchema(BaseSchema):
    recording = fields.Boolean(required=True, metadata={"description": "False if it is disabled or cannot record"})
    problem = fields.String(metadata={"description": "Why nothing is recorded, or what was lost"})
    bytes = fields.Integer(required=True, metadata={"description": "Size on disk"})
    oldest = fields.String(allow_none=True, required=True, metadata={"description": "Time of the oldest sample"})
    expectedBytes = fields.Integer(
        required=True, metadata={"description": "Size after a year with the present devices and settings"}
    )
    droppedBlocks = fields.Integer(
        required=True, metadata={"description": "Blocks that could not be written in time, since the start"}
    )
    damagedBlocks = fields.Integer(
        required=True, metadata={"description": "Blocks that could not be read, since the start"}
    )


class HistoryStoreSchema(StoreSchema):
    history = fields.Nested(HistoryStateSchema, metadata={"description": "Only for `pluto_history`"})


StoresEnvelope = envelope(fields.List(fields.Nested(HistoryStoreSchema)), "StoresAnswer")


def serialise_history_store(database: Database, state: HistoryState) -> dict[str, Any]:
    shown = {
        "recording": state.recording,
        "bytes": state.disk_bytes,
        "oldest": None if state.oldest is None else format_iso(datetime.fromtimestamp(state.oldest, UTC)),
        "expectedBytes": state.expected_bytes,
        "droppedBlocks": state.dropped_blocks,
        "damagedBlocks": state.damaged_blocks,
        **({"problem": state.problem} if state.problem else {}),
    }
    return {**serialise_store(database), "history": shown}


def serialise_store(database: Database) -> dict[str, Any]:
    repair = database.repair
    return {
        "name": database.path.name,
        "writable": database.is_open and database.failure is None,
        "failure": str(database.failure) if database.failure else None,
        "repair": repair
        and {
            "damage": repair.damage,
            "kept": str(repair.kept.relative_to(database.path.parent)),
            "recovered": repair.recovered,
            "unreadable": repair.unreadable,
        },
    }
