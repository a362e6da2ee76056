"""kill -9 at random moments, many times on one store: it has all acknowledged acts and no others."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from soak import scale_loops
from store_model import Model

KILLS = scale_loops(200)
MAX_DELAY_SECONDS = 0.08

RunStoreChild = Callable[..., list[list[Any]]]


@pytest.fixture
def run_store_child() -> Iterator[RunStoreChild]:
    """`run_store_child(directory=.., seed=.., ..)`: run one child and return its messages until it has exited."""
    command = [sys.executable, str(Path(__file__).parent / "store_child.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin and server.stdout

        def run(**request: Any) -> list[list[Any]]:
            server.stdin.write(json.dumps(request) + "\n")
            server.stdin.flush()
            return list(iter(lambda: json.loads(server.stdout.readline()), ["exited"]))

        yield run
        server.stdin.close()
        assert server.wait(10) == 0


def test_acknowledged_acts_survive_kill_9_and_deleted_objects_do_not_return(
    run_store_child: RunStoreChild, memory_folder: Path
) -> None:
    random, possible, acknowledged, killed_during_act = Random(200), [Model()], 0, 0
    for seed in range(KILLS):
        delay = random.uniform(0, MAX_DELAY_SECONDS)
        messages = run_store_child(
            directory=str(memory_folder / "core"), seed=seed, acts=10**6, telemetry=4000, delay=delay
        )
        if not messages:
            continue  # it was killed before it opened the store: the possible states are the same
        (_, state, repaired), *acts = messages
        model = next((each for each in possible if each.list_state() == state), None)
        assert model, f"kill {seed}: found {state}, possible were {[each.list_state() for each in possible]}"
        assert not repaired
        for word, act in acts:
            if word == "did":
                model.apply_act(act)
                acknowledged += 1
        possible = [model]
        if acts and acts[-1][0] == "will":
            killed_during_act += 1
            possible.append(model.copy_after(acts[-1][1]))
    assert killed_during_act > KILLS / 4
    print(f"{KILLS} kills, {killed_during_act} in the middle of an act, {acknowledged} acts acknowledged, 0 lost")
