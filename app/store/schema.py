"""Reads, writes and migrates the schema version of the store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from app.errors import StoreTooNew
from app.store.database import Database

log = logging.getLogger(__name__)

VERSION_KEY = "pluto:schema:version"
# The version of a directory without the key: the Node backend's, or one of this service's first versions.
FIRST_VERSION = 1

Migration = Callable[[Database], tuple[Mapping[str, Any], Iterable[str]]]

# By version: the migration to the next one. It returns puts and deletes, written in one batch with the new version.
MIGRATIONS: Mapping[int, Migration] = {}


def latest_version(migrations: Mapping[int, Migration] = MIGRATIONS) -> int:
    """Return the version that this code writes."""
    return max(migrations, default=FIRST_VERSION - 1) + 1


def stored_version(value: object) -> object:
    """Return the version in the key's value; FIRST_VERSION if there is none. It may have any type."""
    if value is None:
        return FIRST_VERSION
    return value.get("version") if isinstance(value, dict) else value


def migrate_schema(database: Database, migrations: Mapping[int, Migration] = MIGRATIONS) -> None:
    """Migrate an older store to the latest version, and write the version if it is missing.

    Raises StoreTooNew, before any write, for a version that this code does not know.
    """
    stored = database.read_value(VERSION_KEY)
    version = stored_version(stored)
    if type(version) is not int or not FIRST_VERSION <= version <= latest_version(migrations):
        raise StoreTooNew(str(database.path), version, latest_version(migrations))
    for older in range(version, latest_version(migrations)):
        puts, deletes = migrations[older](database)
        database.write_batch({**puts, VERSION_KEY: {"version": older + 1}}, deletes)
        log.info("the store was migrated", extra={"from": older, "to": older + 1})
    if stored is None and version == latest_version(migrations):
        database.write_batch({VERSION_KEY: {"version": version}})
