"""`make bench`, small and short: that it measures what it says, and leaves nothing behind."""

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

SMALL = ("N=12", "INTERVAL=1", "SECONDS=4", "WARMUP=1", "READ_EVERY=1")
DATA = Path("/var/tmp")


@pytest.fixture
def bench(tmp_path: Path, stack: ExitStack) -> Callable[..., Process]:
    def start(*arguments: str) -> Process:
        environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        process = Process("bench", ["make", "--no-print-directory", "bench", *arguments], tmp_path, environ)
        stack.callback(process.stop)
        return process

    return start


def below(pid: int) -> set[int]:
    """The process and all that it started, and so on."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return set()
    return {pid}.union(*(below(int(child)) for child in children))


def folders() -> set[Path]:
    return set(DATA.glob("pluto-bench-*"))


@pytest.mark.parametrize(("mode", "sick"), [("keep-alive", 0), ("close", 4)])
@pytest.mark.timeout(200)
def test_every_part_is_measured(bench: Callable[..., Process], tmp_path: Path, mode: str, sick: int) -> None:
    """`sick`: a quarter of the twelve refuses, some hang."""
    before, out = folders(), tmp_path / "result.json"
    faults = ("DEAD=25", "HANG=9") if sick else ()
    process = bench(*SMALL, "CLIENTS=3", f"MODE={mode}", f"OUT={out}", *faults)
    assert process.wait(180) == 0, process.text()
    result: dict[str, Any] = json.loads(out.read_text())
    assert process.text().splitlines()[-1] == out.read_text().strip()

    service, healthy = result["service"], 12 - sick
    assert service["counters"]["ok"] >= 2 * healthy
    assert (service["counters"]["failed"] > 0) == (sick > 0)
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
    assert "CPU per 1,000 polls" in process.text()
    assert folders() == before


def test_ctrl_c_leaves_nothing_behind(bench: Callable[..., Process]) -> None:
    before = folders()
    process = bench(*SMALL)
    wait_for("the window", lambda: process.popen.poll() is not None or "measuring" in process.text(), 60)
    started = below(process.pid) - {process.pid}
    assert len(started) >= 5, process.text()
    assert len(folders() - before) == 1
    os.killpg(process.pid, signal.SIGINT)
    process.wait(30)
    assert "stopped" in process.text()
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
    assert folders() == before


@pytest.mark.parametrize("wrong", ["N=none", "M=1"])
def test_what_makes_no_sense_is_said(bench: Callable[..., Process], wrong: str) -> None:
    process = bench(wrong)
    assert process.wait(60) != 0
    assert f"bench: {wrong.partition('=')[0]}" in process.text()
