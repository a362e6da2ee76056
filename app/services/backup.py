"""Backups of everything that is stored, taken while the service goes on."""

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
    """Owns nothing."""

    def __init__(self, stores: Stores, clock: Clock) -> None:
        self._stores = stores
        self._clock = clock

    @property
    def filename(self) -> str:
        return f"pluto-backup-{self._clock.now():%Y%m%dT%H%M%SZ}.jsonl.gz"

    def take(self, *, secrets: bool) -> Iterator[bytes]:
        """The file in pieces, as everything is at the moment of the call. The iterator raises StoreClosed when the
        service stops meanwhile: what came until then is no backup, and restoring refuses it. `secrets`: with the
        passwords of presets and unfinished jobs."""
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
            shown, withheld = (value, ()) if secrets else without_secrets(key, value)
            yield Entry(database.path.name, key, shown, withheld)
