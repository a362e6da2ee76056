"""Every kind of file of a store damaged in every way: never an empty start in silence, never a traceback."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from random import Random

from soak import times
from store_helpers import DAMAGES, LISTS, damaged, make_past

from app.clock import Clock
from app.errors import StoreBeyondRepair
from app.store.database import Database

SEEDS = times(200)
KINDS = ("CURRENT", "MANIFEST-", ".log", ".ldb")


def outcome_of(database: Database, ever: dict[bytes, set[bytes]], cut_log: bool) -> str:
    try:
        database.open(Clock())
    except StoreBeyondRepair as error:
        assert "left as it is" in str(error)
        return "refused"
    rows = dict(database.rows())
    database.close()
    assert rows, "an empty start"
    invented = [key for key, value in rows.items() if value not in ever[key] and key not in LISTS]
    assert not invented
    if database.repair:
        assert database.repair.kept.is_dir()
        return "repaired, all there" if rows.keys() == ever.keys() else "repaired, some lost"
    # A log that ends early is what any crash leaves, and cannot be told from it.
    assert rows.keys() == ever.keys() or cut_log, "something is missing, and nobody was told"
    return "nothing to do"


def test_whatever_happens_to_a_file_nobody_is_left_in_the_dark(memory_folder: Path) -> None:
    past, found = make_past(memory_folder), Counter[tuple[str, str]]()
    for seed in range(SEEDS):
        random, kind = Random(seed), KINDS[seed % len(KINDS)]
        name = random.choice(list(DAMAGES))
        damage = partial(DAMAGES[name], random=random)
        target = damaged(past, memory_folder / str(seed) / "core", past.file(kind), damage)
        found[kind, outcome_of(Database(target), past.ever, (kind, name) == (".log", "cut"))] += 1
    outcomes = {outcome for _, outcome in found}
    assert {"repaired, all there", "repaired, some lost"} <= outcomes
    assert "refused" not in outcomes, "one file was damaged: the others can be read"
    for (kind, outcome), count in sorted(found.items()):
        print(f"{kind}: {outcome}: {count}")
