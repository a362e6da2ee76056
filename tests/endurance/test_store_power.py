"""Power cuts at random moments: every acknowledged change was synced, names of files included."""

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
from power_cut import Disk, Event, read_events
from requests_child import REQUESTS
from soak import scale_loops
from store_child import Store
from store_model import Model

HERE = Path(__file__).parent
CUTS = scale_loops(200)
# Number of acts and size of the telemetry: many small acts, and enough data to fill LevelDB's log (1 MB) several times.
RUNS = ((250, 3000), (120, 150_000))


def trace_script(disk_shim_library: Path, folder: Path, script: Path, requests: str) -> list[Event]:
    """Run a script with this text on stdin and return the file operations that it did below `folder`/watched."""
    (folder / "watched").mkdir()
    shim_settings = {
        "SHIM_WATCH": str(folder / "watched"),
        "SHIM_TRACE": str(folder / "trace"),
        "LD_PRELOAD": str(disk_shim_library),
    }
    environ = {**os.environ, **shim_settings, "ACKS": str(folder / "watched" / "acks")}
    completed = subprocess.run(
        [sys.executable, str(script)],
        input=requests,
        env=environ,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (completed.returncode, completed.stderr) == (0, "")
    return list(read_events(folder / "trace"))


def replay_until_cuts(events: list[Event], moments: list[int]) -> Iterator[tuple[Disk, Model, list[Any]]]:
    """Yield at each moment the disk, the model of the acknowledged acts, and the act in progress."""
    disk, model, acts_in_progress, due = Disk(), Model(), [], set(moments)
    for number, event in enumerate(events):
        if number in due:
            yield disk, model, acts_in_progress
        if event.path.name != "acks":
            disk.apply_event(event)
        elif event.kind == "W":
            word, *payload = json.loads(event.data)
            if word == "did":
                model.apply_act(payload[0])
            acts_in_progress = payload if word == "will" else []


@pytest.mark.parametrize(("acts", "telemetry"), RUNS)
def test_acknowledged_acts_survive_a_power_cut(
    disk_shim_library: Path, memory_folder: Path, acts: int, telemetry: int
) -> None:
    requests = [
        {"directory": str(memory_folder / "watched" / "core"), "acts": acts // 2, "telemetry": telemetry, "delay": None}
    ]
    lines = "".join(json.dumps({**requests[0], "seed": seed}) + "\n" for seed in range(2))
    events = trace_script(disk_shim_library, memory_folder, HERE / "store_child.py", lines)
    random, outcome_counts = Random(acts), Counter()
    moments = sorted(random.sample(range(len(events)), min(CUTS // len(RUNS), len(events))))
    for disk, model, acts_in_progress in replay_until_cuts(events, moments):
        remaining = memory_folder / "after-cut"
        shutil.rmtree(remaining, ignore_errors=True)
        (remaining / "core").mkdir(parents=True)
        ordered = random.random() < 0.5
        for path, data in disk.cut_power(random, ordered=ordered).items():
            (remaining / path.relative_to(memory_folder / "watched")).write_bytes(data)
        store = Store(remaining / "core")
        state = store.read_model().list_state()
        repaired = bool(store.database.repair)
        store.database.close()
        possible = [model, *(model.copy_after(act) for act in acts_in_progress)]
        assert state in [each.list_state() for each in possible], (state, [each.list_state() for each in possible])
        # Before the first write LevelDB may have no MANIFEST: it does not sync a new one.
        assert not (ordered and repaired and model != Model()), store.database.repair
        outcome_counts["repaired" if repaired else "as it was"] += 1
    print(f"{len(moments)} power cuts in {len(events)} events, 0 acts lost; {dict(outcome_counts)}")


def test_changes_of_a_user_are_synced_before_the_answer(disk_shim_library: Path, memory_folder: Path) -> None:
    """The bytes of each change are in a log, and the log and its name are synced."""
    data_dir = memory_folder / "watched" / "data"
    events = trace_script(disk_shim_library, memory_folder, HERE / "requests_child.py", str(data_dir))
    answered, since = [], []
    for event in events:
        if event.path.name == "acks" and event.kind == "W":
            word, request = json.loads(event.data)
            if word == "did":
                *_, synced = [at for at, each in enumerate(since) if each.kind == "S" and is_database_log(each)]
                *_, written = [
                    at for at, each in enumerate(since[:synced]) if each.kind == "W" and is_database_log(each)
                ]
                assert since[written].path == since[synced].path, request
                assert data_dir / "pluto_core" in [each.path for each in since[synced:] if each.kind == "S"], request
                answered.append(request)
            since = []
        else:
            since.append(event)
    assert len(answered) == len(REQUESTS)


def is_database_log(event: Event) -> bool:
    return event.path.suffix == ".log" and event.path.parent.name == "pluto_core"
