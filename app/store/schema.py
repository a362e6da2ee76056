"""Reads, writes and migrates the schema version of the store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from app.errors import StoreTooNew
from app.store.database import Database

log = logging.getLogger(__name__)

KEY = "pluto:schema:version"
# The version of a directory without the key: the Node backend's, or one of this service's first versions.
FIRST = 1

Migration = Callable[[Database], tuple[Mapping[str, Any], Iterable[str]]]

# By version: the migration to the next one. It returns puts and deletes, written in one batch with the new version.
MIGRATIONS: Mapping[int, Migration] = {}


def known(migrations: Mapping[int, Migration] = MIGRATIONS) -> int:
    """Return the version that this code writes."""
    return max(migrations, default=FIRST - 1) + 1


def version_of(value: object) -> object:
    """Return the version in the key's value; FIRST_VERSION if there is none. It may have any type."""
    if value is None:
        return FIRST
    return value.get("version") if isinstance(value, dict) else value


def bring_up_to_date(database: Database, migrations: Mapping[int, Migration] = MIGRATIONS) -> None:
    """Migrate an older store to the latest version, and write the version if it is missing.

    Raises StoreTooNew, before any write, for a version that this code does not know.
    """
    stored = database.get(KEY)
    version = version_of(stored)
    if type(version) is not int or not FIRST <= version <= known(migrations):
        raise StoreTooNew(str(database.path), version, known(migrations))
    for older in range(version, known(migrations)):
        puts, deletes = migrations[older](database)
        database.write({**puts, KEY: {"version": older + 1}}, deletes)
        log.info("the store was migrated", extra={"from": older, "to": older + 1})
    if stored is None and version == known(migrations):
        database.write({KEY: {"version": version}})
