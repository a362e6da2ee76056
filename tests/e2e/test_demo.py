"""`make demo` as a user runs it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
from processes import MINER_COUNT, ROOT, Process, wait_for


@pytest.fixture
def demo(tmp_path: Path, exit_stack: ExitStack) -> Iterator[Process]:
    """The demo, started, with its URLs printed."""
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    demo = Process("demo", ["make", "--no-print-directory", "demo"], tmp_path, environ)
    exit_stack.callback(demo.stop)
    wait_for("the demo", lambda: demo.popen.poll() is not None or "Ctrl-C ends it" in demo.read_output(), 120)
    assert demo.popen.poll() is None, demo.read_output()
    yield demo


def find_printed_url(demo: Process, label: str) -> str:
    return re.search(rf"^  {label} +(\S+)$", demo.read_output(), re.MULTILINE)[1]  # type: ignore[index]


def list_demo_processes(demo: Process) -> dict[str, int]:
    """Return the processes that `make demo` started: module → pid."""
    listing = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()[1:]]
    [main_pid] = [int(pid) for pid, parent, _ in rows if int(parent) == demo.pid]
    processes = {args.split(" -m ")[1].split()[0]: int(pid) for pid, parent, args in rows if int(parent) == main_pid}
    return {"demo": main_pid, **processes}


def test_demo_shows_twelve_miners_and_stops_on_ctrl_c(demo: Process) -> None:
    assert re.search(
        rf"^  {MINER_COUNT} miners, [67] firmware versions, \d+\.\d\d TH/s, \d+ W$", demo.read_output(), re.MULTILINE
    )
    devices = requests.get(find_printed_url(demo, "devices"), timeout=5).json()["data"]
    assert len(devices) == MINER_COUNT
    assert {device["status"] for device in devices} == {"online"}
    for page in ("page", "metrics", "API reference"):
        assert requests.get(find_printed_url(demo, page), timeout=5).ok
    processes = list_demo_processes(demo)
    os.kill(processes["demo"], signal.SIGINT)
    assert demo.wait(15) == 0
    assert demo.read_output().rstrip().endswith("pluto demo: stopped")
    assert not [name for name, pid in processes.items() if Path(f"/proc/{pid}").exists()]


@pytest.mark.parametrize("victim", ["simulator", "gunicorn"])
def test_demo_names_the_process_that_was_killed(demo: Process, victim: str) -> None:
    processes = list_demo_processes(demo)
    os.kill(processes[victim], signal.SIGKILL)
    assert demo.wait(20) != 0
    name = {"simulator": "simulator", "gunicorn": "service"}[victim]
    assert f"pluto demo: the {name} ended with status -9; end of its log:" in demo.read_output()
    assert not [each for each, pid in processes.items() if Path(f"/proc/{pid}").exists()]


def test_second_demo_is_refused_and_leaves_the_first_running(demo: Process) -> None:
    second = subprocess.run(
        ["make", "--no-print-directory", "demo"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert second.returncode != 0
    assert "is in use by another running instance" in second.stderr
    assert requests.get(find_printed_url(demo, "devices"), timeout=5).ok
    assert (ROOT / ".demo" / "neighbours").exists()


def test_demo_uses_the_next_port_when_3000_is_occupied(exit_stack: ExitStack, request: pytest.FixtureRequest) -> None:
    occupied_port = exit_stack.enter_context(socket.create_server(("127.0.0.1", 3000), reuse_port=False))
    demo = request.getfixturevalue("demo")
    assert occupied_port.getsockname()[1] == 3000
    assert find_printed_url(demo, "page") != "http://127.0.0.1:3000/"
