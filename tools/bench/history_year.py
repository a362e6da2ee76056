"""Fills a history with a year for some devices and the fleet by repeating a simulated day: `... DAY TARGET MACS`.

It has the quarters of an hour of 365 days, the minutes of 7, and each poll of the last full hour and the present one.
The result is one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from app.clock import Clock
from app.services.history.blocks import BlockCodec
from app.services.history.raw_samples import RAW_LEVEL
from app.services.history.rollup import KEPT_LEVEL
from app.services.history.totals_recorder import FLEET
from app.store.expendable_database import ExpendableDatabase
from app.store.history import DAY, HOUR, SLOT_SECONDS, BlockKey, HistoryRepository, Tier
from app.store.stores import HISTORY

from .history_day import BEGIN

YEAR_DAYS, MINUTE_DAYS = 365, 7


def write_year(day: Path, target: Path, macs: Sequence[str], begin: int, now: int) -> dict[str, float]:
    """Fill the data directory `target` from `day`, which has the day from `begin` on and the hour after it. Return the
    bytes of one device: on disk with LevelDB's share, and of the block that a day adds to the quarters of an hour."""
    target.mkdir()
    source, year = ExpendableDatabase(day / HISTORY), ExpendableDatabase(target / HISTORY)
    with closing(source), closing(year):
        source.open(Clock())
        year.open(Clock())
        repository = HistoryRepository(source, 0)
        written = _repeat_day(repository, HistoryRepository(year, 0), (*macs, FLEET), begin, now)
        quarters = sum(map(len, repository.read_slot(Tier.QUARTER, begin, macs[0])))
    with closing(year):
        year.open(Clock())  # moves the log into a table
    size = sum(file.stat().st_size for file in year.path.iterdir())
    share = sum(written[mac] for mac in macs) / sum(written.values())
    return {"disk": size * share / len(macs), "quarters_per_day": quarters}


def _repeat_day(
    source: HistoryRepository, year: HistoryRepository, series: Sequence[str], begin: int, now: int
) -> dict[str, int]:
    """Return the bytes of the blocks of each series."""
    codec, written = BlockCodec(), dict.fromkeys(series, 0)
    for slot, tier, origin in _list_slots(begin, now):
        blocks = {}
        for name in series:
            for block in source.read_slot(tier, origin, name):
                frame = codec.decode_block(block)
                frame.times = array("I", (time + slot - origin for time in frame.times if time + slot - origin < now))
                if not frame.times:
                    continue
                frame.columns = {column: values[: len(frame)] for column, values in frame.columns.items()}
                key = BlockKey(slot, tier, name, frame.times[0])
                blocks[key] = codec.encode_block(frame, RAW_LEVEL if tier is Tier.RAW else KEPT_LEVEL)
                written[name] += len(blocks[key])
        year.write_blocks(blocks)
    hour, today = now // HOUR * HOUR, now // DAY * DAY
    rollup = {"open_days": [today], "raw_hours": [hour - HOUR]}
    year.write_blocks({}, {"rollup": rollup, "open_hours": [hour], "spans": [[now - YEAR_DAYS * DAY, now]]})
    return written


def _list_slots(begin: int, now: int) -> Iterator[tuple[int, Tier, int]]:
    """Yield the slots to fill, oldest first, with the slot of the simulated day that each repeats."""
    today, hour = now // DAY * DAY, now // HOUR * HOUR
    for tier, first, stop in (
        (Tier.QUARTER, today - YEAR_DAYS * DAY, today),
        (Tier.MINUTE, today - MINUTE_DAYS * DAY, hour),
        (Tier.RAW, hour - HOUR, now),
    ):
        for slot in range(first, stop, SLOT_SECONDS[tier]):
            # Of the polls only those of the hour after the day are still stored.
            yield slot, tier, begin + (DAY if tier is Tier.RAW else slot % DAY)


def main(arguments: list[str]) -> None:
    day, target, *macs = arguments
    print(json.dumps(write_year(Path(day), Path(target), macs, int(BEGIN.timestamp()), int(time.time()))))


if __name__ == "__main__":
    main(sys.argv[1:])
