"""Power cuts at any moment: what was acknowledged was synced, names included."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from power_cut import Disk, Event, events_of
from requests_child import REQUESTS
from soak import times
from store_child import Store
from store_model import Model

HERE = Path(__file__).parent
CUTS = times(200)
# Acts and the size of readings: many small things, and enough to fill LevelDB's log (1 MB) several times.
RUNS = ((250, 3000), (120, 150_000))


def recorded(disk_shim_library: Path, folder: Path, script: Path, told: str) -> list[Event]:
    """What a script, which is told something on stdin, did below `folder`/watched."""
    (folder / "watched").mkdir()
    watch = {
        "SHIM_WATCH": str(folder / "watched"),
        "SHIM_TRACE": str(folder / "trace"),
        "LD_PRELOAD": str(disk_shim_library),
    }
    environ = {**os.environ, **watch, "ACKS": str(folder / "watched" / "acks")}
    run = subprocess.run(
        [sys.executable, str(script)], input=told, env=environ, capture_output=True, text=True, timeout=100, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    return list(events_of(folder / "trace"))


def cuts(events: list[Event], moments: list[int]) -> Iterator[tuple[Disk, Model, list[Any]]]:
    """At each moment the disk, what was acknowledged by then, and the act that was under way."""
    disk, model, under_way, due = Disk(), Model(), [], set(moments)
    for number, event in enumerate(events):
        if number in due:
            yield disk, model, under_way
        if event.path.name != "acks":
            disk.take(event)
        elif event.kind == "W":
            word, *about = json.loads(event.data)
            if word == "did":
                model.apply(about[0])
            under_way = about if word == "will" else []


@pytest.mark.parametrize(("acts", "telemetry"), RUNS)
def test_nothing_acknowledged_is_lost_to_a_power_cut(
    disk_shim_library: Path, memory_folder: Path, acts: int, telemetry: int
) -> None:
    told = [
        {"directory": str(memory_folder / "watched" / "core"), "acts": acts // 2, "telemetry": telemetry, "delay": None}
    ]
    lines = "".join(json.dumps({**told[0], "seed": seed}) + "\n" for seed in range(2))
    events = recorded(disk_shim_library, memory_folder, HERE / "store_child.py", lines)
    random, found = Random(acts), Counter()
    moments = sorted(random.sample(range(len(events)), min(CUTS // len(RUNS), len(events))))
    for disk, model, under_way in cuts(events, moments):
        left = memory_folder / "left"
        shutil.rmtree(left, ignore_errors=True)
        (left / "core").mkdir(parents=True)
        orderly = random.random() < 0.5
        for path, data in disk.after_power_cut(random, orderly=orderly).items():
            (left / path.relative_to(memory_folder / "watched")).write_bytes(data)
        store = Store(left / "core")
        state = store.model().state()
        repaired = bool(store.database.repair)
        store.database.close()
        possible = [model, *(model.after(act) for act in under_way)]
        assert state in [each.state() for each in possible], (state, [each.state() for each in possible])
        # Before anything was written LevelDB may be left without a MANIFEST: it is not synced when it is made.
        assert not (orderly and repaired and model != Model()), store.database.repair
        found["repaired" if repaired else "as it was"] += 1
    print(f"{len(moments)} power cuts in {len(events)} events, 0 acts lost; {dict(found)}")


def test_what_a_user_asks_for_is_synced_before_the_answer(disk_shim_library: Path, memory_folder: Path) -> None:
    """Each request that changes something: its bytes are in a log, the log is synced, and so is the log's name."""
    data_dir = memory_folder / "watched" / "data"
    events = recorded(disk_shim_library, memory_folder, HERE / "requests_child.py", str(data_dir))
    answered, since = [], []
    for event in events:
        if event.path.name == "acks" and event.kind == "W":
            word, request = json.loads(event.data)
            if word == "did":
                *_, synced = [at for at, each in enumerate(since) if each.kind == "S" and is_log(each)]
                *_, written = [at for at, each in enumerate(since[:synced]) if each.kind == "W" and is_log(each)]
                assert since[written].path == since[synced].path, request
                assert data_dir / "pluto_core" in [each.path for each in since[synced:] if each.kind == "S"], request
                answered.append(request)
            since = []
        else:
            since.append(event)
    assert len(answered) == len(REQUESTS)


def is_log(event: Event) -> bool:
    return event.path.suffix == ".log" and event.path.parent.name == "pluto_core"
