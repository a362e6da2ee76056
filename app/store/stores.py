"""All databases of a data directory, opened and closed together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from app.clock import Clock
from app.store.database import Database
from app.store.repair import Repair
from app.store.schema import bring_up_to_date

CORE = "pluto_core"
DISCOVERY = "pluto_discovery"


class Stores:
    """Owns the databases. `discovery` is None where another service keeps it: its lock is on the directory."""

    def __init__(self, data_dir: Path, *, discovery: bool) -> None:
        self.core = Database(data_dir / CORE)
        self.discovery = Database(data_dir / DISCOVERY) if discovery else None

    def __iter__(self) -> Iterator[Database]:
        yield self.core
        if self.discovery is not None:
            yield self.discovery

    def open(self, clock: Clock) -> None:
        """All or none. After fork only: LevelDB's threads do not survive one. Raises StoreError, StoreLocked."""
        try:
            for database in self:
                database.open(clock)
            bring_up_to_date(self.core)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for database in self:
            database.close()

    def retry(self) -> bool:
        """Whether all can be written; tries those where a write failed."""
        return [database for database in self if not database.retry()] == []

    @property
    def is_open(self) -> bool:
        return all(database.is_open for database in self)

    @property
    def is_in_place(self) -> bool:
        """Whether the directories are still those that were opened; one that was removed takes its data with it."""
        return all(database.is_in_place for database in self)

    @property
    def writable(self) -> bool:
        return self.is_open and self.is_in_place and all(database.failure is None for database in self)

    @property
    def writes(self) -> int:
        """Batches since the start."""
        return sum(database.writes for database in self)

    @property
    def repairs(self) -> list[Repair]:
        """What this start had to repair."""
        return [database.repair for database in self if database.repair]
