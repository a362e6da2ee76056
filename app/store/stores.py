"""Opens and closes all databases of a data directory together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from app.clock import Clock
from app.store.database import Database
from app.store.expendable_database import ExpendableDatabase
from app.store.repair import Repair
from app.store.schema import migrate_schema

CORE = "pluto_core"
DISCOVERY = "pluto_discovery"
HISTORY = "pluto_history"
EVENTS = "pluto_events"


class Stores:
    """Owns the databases. `discovery` is None if an external discovery service has that directory open. The service
    needs these two; `history` and `events` may fail at any time without an effect on them, so iteration leaves them
    out."""

    def __init__(self, data_dir: Path, *, discovery: bool) -> None:
        self.core = Database(data_dir / CORE)
        self.discovery = Database(data_dir / DISCOVERY) if discovery else None
        self.history = ExpendableDatabase(data_dir / HISTORY)
        self.events = ExpendableDatabase(data_dir / EVENTS)

    def __iter__(self) -> Iterator[Database]:
        yield self.core
        if self.discovery is not None:
            yield self.discovery

    def open(self, clock: Clock) -> None:
        """Open all databases, or none. Only after the fork, which LevelDB's threads do not survive.

        Raises StoreError, StoreLocked.
        """
        try:
            for database in self:
                database.open(clock)
            migrate_schema(self.core)
            for expendable in (self.history, self.events):
                expendable.open_or_disable(clock)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for database in self.all_databases():
            database.close()

    def all_databases(self) -> list[Database]:
        """Return the databases, those of the history and of the events included."""
        return [*self, self.history, self.events]

    def retry_writes(self) -> bool:
        """Return whether all databases can be written; reopen those in which a write failed."""
        return [database for database in self if not database.retry_writes()] == []

    @property
    def is_open(self) -> bool:
        return all(database.is_open for database in self)

    @property
    def are_directories_unchanged(self) -> bool:
        """True if no directory was removed or replaced since it was opened. Data in a removed one is lost."""
        return all(database.is_directory_unchanged for database in self)

    @property
    def is_writable(self) -> bool:
        return self.is_open and self.are_directories_unchanged and all(database.failure is None for database in self)

    @property
    def writes(self) -> int:
        """Number of batches written since startup."""
        return sum(database.writes for database in self.all_databases())

    @property
    def repairs(self) -> list[Repair]:
        """Repairs made at this startup."""
        return [database.repair for database in self if database.repair]
