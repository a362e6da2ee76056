"""Creates backups of all databases while the service runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from app.clock import Clock, format_iso
from app.redaction.stored_values import redact_stored_value
from app.store.backup_archive import Entry, pack_archive
from app.store.database import Database
from app.store.schema import VERSION_KEY, stored_version
from app.store.stores import Stores
from app.version import VERSION


class BackupService:
    """Creates backups of the open databases."""

    def __init__(self, stores: Stores, clock: Clock) -> None:
        self._stores = stores
        self._clock = clock

    @property
    def filename(self) -> str:
        return f"pluto-backup-{self._clock.now():%Y%m%dT%H%M%SZ}.jsonl.gz"

    def create_backup(self, *, secrets: bool, history: bool = False) -> Iterator[bytes]:
        """Return the backup file in pieces, from a snapshot at the time of the call.

        `secrets`: include the passwords of presets and unfinished jobs. `history`: include history and events. The
        iterator raises StoreClosed if the service stops in the meantime; a restore rejects the incomplete file.
        """
        databases = list(self._stores)
        if history:
            databases += [each for each in (self._stores.history, self._stores.events) if each.is_open]
        header = {
            "schema": stored_version(self._stores.core.read_value(VERSION_KEY)),
            "service": VERSION,
            "created": format_iso(self._clock.now()),
            "secrets": secrets,
            "databases": [database.path.name for database in databases],
        }
        rows = [(database, database.snapshot_rows()) for database in databases]
        return pack_archive(header, _read_entries(rows, secrets))


def _read_entries(rows: Iterable[tuple[Database, Iterator[tuple[bytes, bytes]]]], secrets: bool) -> Iterator[Entry]:
    for database, each in rows:
        for key, value in each:
            kept, removed_paths = (value, ()) if secrets else redact_stored_value(key, value)
            yield Entry(database.path.name, key, kept, removed_paths)
