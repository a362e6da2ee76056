"""`make demo`, as a user runs it."""

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
from processes import MINERS, ROOT, Process, wait_for


@pytest.fixture
def demo(tmp_path: Path, stack: ExitStack) -> Iterator[Process]:
    """Started, and saying where to look."""
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    demo = Process("demo", ["make", "--no-print-directory", "demo"], tmp_path, environ)
    stack.callback(demo.stop)
    wait_for("the demo", lambda: demo.popen.poll() is not None or "Ctrl-C ends it" in demo.text(), 120)
    assert demo.popen.poll() is None, demo.text()
    yield demo


def address(demo: Process, what: str) -> str:
    return re.search(rf"^  {what} +(\S+)$", demo.text(), re.MULTILINE)[1]  # type: ignore[index]


def running(demo: Process) -> dict[str, int]:
    """What `make demo` started, by what it runs → pid."""
    listing = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()[1:]]
    [tool] = [int(pid) for pid, parent, _ in rows if int(parent) == demo.pid]
    parts = {args.split(" -m ")[1].split()[0]: int(pid) for pid, parent, args in rows if int(parent) == tool}
    return {"demo": tool, **parts}


def test_shows_twelve_miners_and_ends_cleanly(demo: Process) -> None:
    assert re.search(rf"^  {MINERS} miners, [67] firmware versions, \d+\.\d\d TH/s, \d+ W$", demo.text(), re.MULTILINE)
    devices = requests.get(address(demo, "devices"), timeout=5).json()["data"]
    assert len(devices) == MINERS
    assert {device["status"] for device in devices} == {"online"}
    for page in ("page", "metrics", "API document"):
        assert requests.get(address(demo, page), timeout=5).ok
    parts = running(demo)
    os.kill(parts["demo"], signal.SIGINT)
    assert demo.wait(15) == 0
    assert demo.text().rstrip().endswith("pluto demo: stopped")
    assert not [name for name, pid in parts.items() if Path(f"/proc/{pid}").exists()]


@pytest.mark.parametrize("victim", ["simulator", "gunicorn"])
def test_says_which_part_died(demo: Process, victim: str) -> None:
    parts = running(demo)
    os.kill(parts[victim], signal.SIGKILL)
    assert demo.wait(20) != 0
    name = {"simulator": "simulator", "gunicorn": "service"}[victim]
    assert f"pluto demo: the {name} ended with status -9; end of its log:" in demo.text()
    assert not [each for each, pid in parts.items() if Path(f"/proc/{pid}").exists()]


def test_a_second_demo_is_told_so_and_harms_nobody(demo: Process) -> None:
    second = subprocess.run(
        ["make", "--no-print-directory", "demo"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert second.returncode != 0
    assert "is in use by another running instance" in second.stderr
    assert requests.get(address(demo, "devices"), timeout=5).ok
    assert (ROOT / ".demo" / "neighbours").exists()


def test_takes_the_next_port_when_its_own_is_taken(stack: ExitStack, request: pytest.FixtureRequest) -> None:
    taken = stack.enter_context(socket.create_server(("127.0.0.1", 3000), reuse_port=False))
    demo = request.getfixturevalue("demo")
    assert taken.getsockname()[1] == 3000
    assert address(demo, "page") != "http://127.0.0.1:3000/"
