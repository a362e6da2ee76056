"""`make bench`, small and short: it measures every part and leaves no process and no folder behind."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from processes import Process, wait_for

SMALL = ("N=12", "INTERVAL=1", "SECONDS=4", "WARMUP=1", "READ_EVERY=1", "HISTORY=off")
DATA = Path("/var/tmp")


@pytest.fixture
def start_bench(tmp_path: Path, exit_stack: ExitStack) -> Callable[..., Process]:
    def start(*arguments: str) -> Process:
        environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        process = Process("bench", ["make", "--no-print-directory", "bench", *arguments], tmp_path, environ)
        exit_stack.callback(process.stop)
        return process

    return start


def list_process_tree(pid: int) -> set[int]:
    """Return the pids of the process and of all its descendants."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return set()
    return {pid}.union(*(list_process_tree(int(child)) for child in children))


def list_bench_folders() -> set[Path]:
    return set(DATA.glob("pluto-bench-*"))


@pytest.mark.parametrize(("mode", "faulty"), [("keep-alive", 0), ("close", 4)])
@pytest.mark.timeout(200)
def test_bench_measures_every_part(start_bench: Callable[..., Process], tmp_path: Path, mode: str, faulty: int) -> None:
    """`faulty`: the number of the twelve miners that refuse connections or hang."""
    folders_before, out = list_bench_folders(), tmp_path / "result.json"
    faults = ("DEAD=25", "HANG=9") if faulty else ()
    process = start_bench(*SMALL, "CLIENTS=3", f"MODE={mode}", f"OUT={out}", *faults)
    assert process.wait(180) == 0, process.read_output()
    result: dict[str, Any] = json.loads(out.read_text())
    assert process.read_output().splitlines()[-1] == out.read_text().strip()

    service, healthy = result["service"], 12 - faulty
    assert service["counters"]["ok"] >= 2 * healthy
    assert (service["counters"]["failed"] > 0) == (faulty > 0)
    # A poll may begin before the window and end in it.
    assert abs(service["late_answering_ms"]["count"] - service["counters"]["ok"]) <= healthy
    assert service["late_ms"]["count"] >= service["counters"]["ok"] - healthy
    assert service["clients"]["connected"] == 3
    assert service["stat_update_ms"]["count"] >= 3 * 2 * healthy
    assert 0 < service["stat_update_ms"]["p50"] < 1000
    for probe in service["probes"].values():
        assert probe["count"] >= 2
        assert probe["bad"] == 0
    assert service["probes"]["metrics"]["bytes"] > service["probes"]["list"]["bytes"] > 1000 * healthy
    assert service["written"]["per_flush"] > 1000 * healthy
    assert 0 < service["core_percent"] < 100
    assert service["rss"] > 30_000_000

    assert result["restart"]["falsely_lost"] == 0
    assert 0 < result["restart"]["ready_seconds"] < 20
    for other in ("bare", "prometheus"):
        assert result[other]["polls"] >= 2 * healthy
        assert result[other]["cpu_per_1000"] > 0
    assert result["cpu_vs_bare"] > 1
    assert "CPU per 1,000 polls" in process.read_output()
    assert list_bench_folders() == folders_before


@pytest.mark.timeout(300)
def test_bench_measures_the_history(start_bench: Callable[..., Process], tmp_path: Path) -> None:
    out, others = tmp_path / "result.json", ("RESTART=off", "BARE=off", "PROMETHEUS=off", "DASHBOARDS=off")
    process = start_bench("N=2", "INTERVAL=1", "SECONDS=3", "WARMUP=1", f"OUT={out}", *others)
    assert process.wait(280) == 0, process.read_output()
    result: dict[str, Any] = json.loads(out.read_text())
    history = result["history"]
    assert history["on"]["polls"] >= 4
    assert history["off"]["polls"] >= 4
    assert result["history_cpu_on"] > history["off"]["cpu_per_1000"] / 2
    for probe in history["queries"].values():
        assert probe["count"] >= 2
        assert probe["bad"] == 0
    # A year at 15 minutes has 500 points in it; an empty history would be answered with a tenth of that.
    assert history["queries"]["device_365d"]["bytes"] > 10_000
    assert 100_000 < history["stepped"]["written"] < 60_000_000
    assert 1_000_000 < history["stepped"]["year"]["disk"] < 6_000_000
    assert "history on ÷ off: CPU per poll" in process.read_output()


def test_ctrl_c_ends_all_processes_and_removes_the_folder(start_bench: Callable[..., Process]) -> None:
    folders_before = list_bench_folders()
    process = start_bench(*SMALL)
    wait_for("the window", lambda: process.popen.poll() is not None or "measuring" in process.read_output(), 60)
    started = list_process_tree(process.pid) - {process.pid}
    assert len(started) >= 5, process.read_output()
    assert len(list_bench_folders() - folders_before) == 1
    os.killpg(process.pid, signal.SIGINT)
    process.wait(30)
    assert "stopped" in process.read_output()
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
    assert list_bench_folders() == folders_before


@pytest.mark.parametrize("argument", ["N=none", "M=1"])
def test_invalid_argument_is_named_in_the_error(start_bench: Callable[..., Process], argument: str) -> None:
    process = start_bench(argument)
    assert process.wait(60) != 0
    assert f"bench: {argument.partition('=')[0]}" in process.read_output()
