"""Each kind of file of a store with each kind of damage: no silent start with an empty store and no traceback."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from random import Random

from soak import scale_loops
from store_helpers import DAMAGES, LISTS, copy_damaged, make_sample_store

from app.clock import Clock
from app.errors import StoreBeyondRepair
from app.store.database import Database

SEEDS = scale_loops(200)
KINDS = ("CURRENT", "MANIFEST-", ".log", ".ldb")


def open_damaged_store(database: Database, all_values: dict[bytes, set[bytes]], is_log_cut: bool) -> str:
    try:
        database.open(Clock())
    except StoreBeyondRepair as error:
        assert "left as it is" in str(error)
        return "refused"
    rows = dict(database.snapshot_rows())
    database.close()
    assert rows, "it started empty"
    unknown_keys = [key for key, value in rows.items() if value not in all_values[key] and key not in LISTS]
    assert not unknown_keys
    if database.repair:
        assert database.repair.kept.is_dir()
        return "repaired completely" if rows.keys() == all_values.keys() else "repaired with losses"
    # A truncated log cannot be distinguished from the log after any crash.
    assert rows.keys() == all_values.keys() or is_log_cut, "a row is missing without a report"
    return "nothing to do"


def test_damaged_file_is_repaired_or_reported(memory_folder: Path) -> None:
    past, outcome_counts = make_sample_store(memory_folder), Counter[tuple[str, str]]()
    for seed in range(SEEDS):
        random, kind = Random(seed), KINDS[seed % len(KINDS)]
        name = random.choice(list(DAMAGES))
        damage = partial(DAMAGES[name], random=random)
        target = copy_damaged(past, memory_folder / str(seed) / "core", past.find_file(kind), damage)
        outcome_counts[
            kind, open_damaged_store(Database(target), past.all_values, (kind, name) == (".log", "cut"))
        ] += 1
    outcomes = {outcome for _, outcome in outcome_counts}
    assert {"repaired completely", "repaired with losses"} <= outcomes
    assert "refused" not in outcomes, "one file was damaged: the others can be read"
    for (kind, outcome), count in sorted(outcome_counts.items()):
        print(f"{kind}: {outcome}: {count}")
