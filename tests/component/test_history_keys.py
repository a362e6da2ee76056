"""Keys of the history in a real LevelDB: what is written later is behind all that was written before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.clock import Clock
from app.store.expendable_database import ExpendableDatabase
from app.store.history import DAY, HOUR, MANY_BLOCKS, BlockKey, HistoryRepository, Tier

T0 = 1_790_000_000 // DAY * DAY


@pytest.fixture
def database(tmp_path: Path) -> Iterator[ExpendableDatabase]:
    database = ExpendableDatabase(tmp_path / "pluto_history")
    database.open(Clock())
    yield database
    database.close()


def write_flush(repository: HistoryRepository, start: int, names: list[str]) -> None:
    slot = start // HOUR * HOUR
    blocks = {BlockKey(slot, Tier.RAW, name, start): f"{name} {start}".encode() for name in names}
    repository.write_blocks(blocks, {"open_hours": [slot]})


def test_keys_are_in_the_order_in_which_they_are_written(database: ExpendableDatabase) -> None:
    """Else LevelDB merges each flush with all earlier ones of the hour: 4 GB a day instead of 1.3 at 1,000 devices."""
    repository, seen = HistoryRepository(database, 0), set[str]()
    for start in range(T0 + DAY - HOUR, T0 + DAY, 240):
        write_flush(repository, start, ["b", "a"])
        keys = {key for key, _ in database.read_rows("series:", "series;")}
        assert max(seen, default="") < min(keys - seen)
        seen = keys
    for tier, slot in ((Tier.MINUTE, T0 + DAY - HOUR), (Tier.QUARTER, T0)):
        repository.write_blocks({BlockKey(slot, tier, "a", slot): b"x"})
        (key,) = {key for key, _ in database.read_rows("series:", "series;")} - seen
        assert max(seen) < key
        seen.add(key)


@pytest.mark.parametrize("count", [2, MANY_BLOCKS + 1])
def test_slot_of_raw_blocks_is_read_and_deleted_as_one(database: ExpendableDatabase, count: int) -> None:
    repository, names = HistoryRepository(database, 0), [f"s{number:03d}" for number in range(count)]
    for start in range(T0 + 3, T0 + 2 * HOUR, 240):
        write_flush(repository, start, names)
    repository.write_blocks({BlockKey(T0, Tier.MINUTE, "s000", T0): b"minutes"})
    expected = [f"s001 {start}".encode() for start in range(T0 + 3, T0 + HOUR, 240)]
    assert repository.read_slot(Tier.RAW, T0, "s001") == expected
    assert sorted(repository.list_series(Tier.RAW, T0)) == names
    assert repository.find_first_slot() == T0
    repository.delete_slot(Tier.RAW, T0)
    assert repository.read_slot(Tier.RAW, T0, "s001") == []
    assert len(repository.read_slot(Tier.RAW, T0 + HOUR, "s001")) == 15
    assert repository.read_slot(Tier.MINUTE, T0, "s000") == [b"minutes"]
    assert repository.find_first_slot() == T0
    assert repository.read_state("open_hours") == [T0 + HOUR]


def test_series_has_no_blocks_of_one_whose_name_is_longer(database: ExpendableDatabase) -> None:
    repository = HistoryRepository(database, 0)
    repository.write_blocks({BlockKey(T0, Tier.RAW, "tag:rack:1", T0): b"x"})
    assert repository.read_slot(Tier.RAW, T0, "tag:rack") == []
    assert repository.read_slot(Tier.RAW, T0, "tag:rack:1") == [b"x"]
