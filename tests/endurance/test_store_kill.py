"""kill -9 at any moment, on one store again and again: what was acknowledged is there, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from soak import times
from store_model import Model

KILLS = times(200)
LONGEST_SECONDS = 0.08

Ask = Callable[..., list[list[Any]]]


@pytest.fixture
def ask() -> Iterator[Ask]:
    """`ask(directory=.., seed=.., ..)`: what one child said until it was gone."""
    command = [sys.executable, str(Path(__file__).parent / "store_child.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin and server.stdout

        def ask(**request: Any) -> list[list[Any]]:
            server.stdin.write(json.dumps(request) + "\n")
            server.stdin.flush()
            return list(iter(lambda: json.loads(server.stdout.readline()), ["gone"]))

        yield ask
        server.stdin.close()
        assert server.wait(10) == 0


def test_nothing_acknowledged_is_lost_and_nothing_deleted_returns(ask: Ask, memory_folder: Path) -> None:
    random, possible, acknowledged, killed_at_work = Random(200), [Model()], 0, 0
    for seed in range(KILLS):
        delay = random.uniform(0, LONGEST_SECONDS)
        said = ask(directory=str(memory_folder / "core"), seed=seed, acts=10**6, telemetry=4000, delay=delay)
        if not said:
            continue  # it was killed before it had opened the store: whatever was possible still is
        (_, state, repaired), *acts = said
        model = next((each for each in possible if each.state() == state), None)
        assert model, f"kill {seed}: found {state}, possible were {[each.state() for each in possible]}"
        assert not repaired
        for word, act in acts:
            if word == "did":
                model.apply(act)
                acknowledged += 1
        possible = [model]
        if acts and acts[-1][0] == "will":
            killed_at_work += 1
            possible.append(model.after(acts[-1][1]))
    assert killed_at_work > KILLS / 4
    print(f"{KILLS} kills, {killed_at_work} in the middle of an act, {acknowledged} acts acknowledged, 0 lost")
