"""Who holds the loop is seen, and named."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterator

import gevent
import pytest
from fakes import eventually

from tools.bench.loop_watch import COLLECTION, IDLE, UNSEEN, LoopWatch, name_of, worst
from tools.bench.processes import ROOT


@pytest.fixture
def watch() -> Iterator[LoopWatch]:
    watch = LoopWatch()
    watch.start()
    gevent.sleep(0.02)
    yield watch
    watch.stop()
    gevent.sleep(0.02)


def hold_the_loop(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def test_the_longest_gap_is_named_by_what_ran(watch: LoopWatch) -> None:
    hold_the_loop(0.3)
    gevent.sleep(0.02)
    longest = watch.take()[0]
    assert longest["ms"] > 200
    assert longest["what"].startswith(f"{hold_the_loop.__qualname__} (test_bench_loop_watch.py:")
    assert longest["looks"] > 0


def test_taking_begins_anew(watch: LoopWatch) -> None:
    hold_the_loop(0.3)
    gevent.sleep(0.02)
    assert watch.take()[0]["ms"] > 200
    gevent.sleep(0.02)
    assert all(gap["ms"] < 200 for gap in watch.take())


def test_a_collection_is_a_name_of_its_own(watch: LoopWatch) -> None:
    rings = [[] for _ in range(400_000)]
    for ring in rings:
        ring.append(ring)
    watch.take()
    gc.collect()
    gevent.sleep(0.02)
    longest = watch.take()[0]
    assert longest["what"] == COLLECTION
    assert longest["collecting_ms"] > longest["ms"] / 2


def test_it_can_be_switched_off_and_leaves_nothing_behind() -> None:
    callbacks = list(gc.callbacks)
    watch = LoopWatch()
    watch.start()
    watch.start()
    assert len(gc.callbacks) == len(callbacks) + 1
    watch.stop()
    assert gc.callbacks == callbacks
    eventually(lambda: not any(_is_watching(frame) for frame in sys._current_frames().values()))


def _is_watching(frame: object) -> bool:
    return "LoopWatch" in name_of(frame)  # type: ignore[arg-type]


def test_a_place_in_the_service_is_named_with_the_way_there() -> None:
    """Functions that say they are of its files."""
    places: dict[str, object] = {"name": here}
    for file, code in (
        ("services/fleet.py", "def inner():\n  return name()"),
        ("blueprints/web.py", "def outer():\n  return inner()"),
        ("middleware.py", "def around():\n  return outer()"),
        ("runtime.py", "def start():\n  return name()"),
        ("main.py", "def boot():\n  return start()"),
    ):
        exec(compile(code, str(ROOT / "app" / file), "exec"), places)
    assert places["outer"]() == "inner (fleet.py:2) in outer (web.py:2)"  # type: ignore[operator]
    assert places["around"]() == places["outer"]()  # type: ignore[operator]
    assert places["boot"]() == "start (runtime.py:2) in boot (main.py:2)"  # type: ignore[operator]
    assert places["inner"]() == "inner (fleet.py:2)"  # type: ignore[operator]


def test_the_longest_and_the_busiest_are_kept() -> None:
    gaps = [{"ms": float(number), "cpu_ms": 100.0 - number, "what": UNSEEN} for number in range(100)]
    kept = [gap["ms"] for gap in worst(gaps)]
    assert kept[:2] == [99.0, 98.0]
    assert kept[-1] == 3.0
    assert len(kept) == len(set(kept))
    assert worst([]) == []


def test_a_loop_that_does_nothing_is_idle() -> None:
    assert name_of(None) == IDLE


def here() -> str:
    return name_of(sys._getframe())
