"""The loop watch of the benchmark records blocks of the event loop and names their cause."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterator

import gevent
import pytest
from fakes import wait_until

from tools.bench.observer import GARBAGE_COLLECTION, IDLE, UNKNOWN, LoopWatch, describe_stack, select_worst_gaps
from tools.child_processes import ROOT


@pytest.fixture
def watch() -> Iterator[LoopWatch]:
    watch = LoopWatch()
    watch.start()
    gevent.sleep(0.02)
    yield watch
    watch.stop()
    gevent.sleep(0.02)


def block_the_loop(seconds: float) -> None:
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        pass


def test_longest_gap_names_the_blocking_function(watch: LoopWatch) -> None:
    block_the_loop(0.3)
    gevent.sleep(0.02)
    longest = watch.take_gaps()[0]
    assert longest["ms"] > 200
    assert longest["what"].startswith(f"{block_the_loop.__qualname__} (test_bench_observer.py:")
    assert longest["looks"] > 0


def test_take_gaps_clears_them(watch: LoopWatch) -> None:
    block_the_loop(0.3)
    gevent.sleep(0.02)
    assert watch.take_gaps()[0]["ms"] > 200
    gevent.sleep(0.02)
    assert all(gap["ms"] < 200 for gap in watch.take_gaps())


def test_gap_names_the_garbage_collection(watch: LoopWatch) -> None:
    rings = [[] for _ in range(400_000)]
    for ring in rings:
        ring.append(ring)
    watch.take_gaps()
    gc.collect()
    gevent.sleep(0.02)
    longest = watch.take_gaps()[0]
    assert longest["what"] == GARBAGE_COLLECTION
    assert longest["collecting_ms"] > longest["ms"] / 2


def test_stop_removes_callback_and_thread() -> None:
    callbacks = list(gc.callbacks)
    watch = LoopWatch()
    watch.start()
    watch.start()
    assert len(gc.callbacks) == len(callbacks) + 1
    watch.stop()
    assert gc.callbacks == callbacks
    wait_until(lambda: not any(is_loop_watch(frame) for frame in sys._current_frames().values()))


def is_loop_watch(frame: object) -> bool:
    return "LoopWatch" in describe_stack(frame)  # type: ignore[arg-type]


def test_stack_in_the_service_has_its_entry_point() -> None:
    """The functions are compiled with the names of files of the service."""
    functions: dict[str, object] = {"name": describe_caller}
    for file, code in (
        ("services/fleet.py", "def inner():\n  return name()"),
        ("blueprints/web.py", "def outer():\n  return inner()"),
        ("middleware.py", "def around():\n  return outer()"),
        ("runtime.py", "def start():\n  return name()"),
        ("main.py", "def boot():\n  return start()"),
    ):
        exec(compile(code, str(ROOT / "app" / file), "exec"), functions)
    assert functions["outer"]() == "inner (fleet.py:2) in outer (web.py:2)"  # type: ignore[operator]
    assert functions["around"]() == functions["outer"]()  # type: ignore[operator]
    assert functions["boot"]() == "start (runtime.py:2) in boot (main.py:2)"  # type: ignore[operator]
    assert functions["inner"]() == "inner (fleet.py:2)"  # type: ignore[operator]


def test_longest_and_busiest_gaps_are_selected() -> None:
    gaps = [{"ms": float(number), "cpu_ms": 100.0 - number, "what": UNKNOWN} for number in range(100)]
    selected = [gap["ms"] for gap in select_worst_gaps(gaps)]
    assert selected[:2] == [99.0, 98.0]
    assert selected[-1] == 3.0
    assert len(selected) == len(set(selected))
    assert select_worst_gaps([]) == []


def test_no_stack_is_idle() -> None:
    assert describe_stack(None) == IDLE


def describe_caller() -> str:
    return describe_stack(sys._getframe())
