"""Creates backups of all databases while the service runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from app.clock import Clock, iso
from app.redaction.stored_values import without_secrets
from app.store.archive import Entry, packed
from app.store.database import Database
from app.store.schema import KEY, version_of
from app.store.stores import Stores
from app.version import VERSION


class Backups:
    """Creates backups of the open databases."""

    def __init__(self, stores: Stores, clock: Clock) -> None:
        self._stores = stores
        self._clock = clock

    @property
    def filename(self) -> str:
        return f"pluto-backup-{self._clock.now():%Y%m%dT%H%M%SZ}.jsonl.gz"

    def take(self, *, secrets: bool) -> Iterator[bytes]:
        """Return the backup file in pieces, from a snapshot at the time of the call.

        `secrets`: include the passwords of presets and unfinished jobs. The iterator raises StoreClosed if the service
        stops in the meantime; a restore rejects the incomplete file.
        """
        header = {
            "schema": version_of(self._stores.core.get(KEY)),
            "service": VERSION,
            "created": iso(self._clock.now()),
            "secrets": secrets,
            "databases": [database.path.name for database in self._stores],
        }
        rows = [(database, database.rows()) for database in self._stores]
        return packed(header, _entries(rows, secrets))


def _entries(rows: Iterable[tuple[Database, Iterator[tuple[bytes, bytes]]]], secrets: bool) -> Iterator[Entry]:
    for database, each in rows:
        for key, value in each:
            kept, removed_paths = (value, ()) if secrets else without_secrets(key, value)
            yield Entry(database.path.name, key, kept, removed_paths)
