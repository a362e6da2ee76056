"""The version of what is stored: written at the first open, and never guessed at when it is newer than this code."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from app.errors import StoreTooNew
from app.store.database import Database

log = logging.getLogger(__name__)

KEY = "pluto:schema:version"
# A directory without the key, the original's or one of before there was a key, has this version.
FIRST = 1

Migration = Callable[[Database], tuple[Mapping[str, Any], Iterable[str]]]

# From each version to the next: what to put and what to delete, written in one batch with the new version.
MIGRATIONS: Mapping[int, Migration] = {}


def known(migrations: Mapping[int, Migration] = MIGRATIONS) -> int:
    """The version that this code writes."""
    return max(migrations, default=FIRST - 1) + 1


def version_of(value: object) -> object:
    """The version that the key's value names; FIRST where there is none."""
    if value is None:
        return FIRST
    return value.get("version") if isinstance(value, dict) else value


def bring_up_to_date(database: Database, migrations: Mapping[int, Migration] = MIGRATIONS) -> None:
    """Writes the version where there is none, and migrates what is older. Raises StoreTooNew, having written nothing,
    for a version that this code does not know."""
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
