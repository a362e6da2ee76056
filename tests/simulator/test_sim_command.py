"""Tests of `python -m simulator` and its control API."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
import requests
from gevent import subprocess
from sim_helpers import FAST_TIMINGS, StartMiner, wait_until

from simulator import Fleet, make_specs
from simulator.__main__ import main
from simulator.control import ControlServer
from simulator.fleet_specs import make_recorded_spec

ROOT = Path(__file__).resolve().parents[2]


def start_command(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "simulator", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command_runs_until_signal(tmp_path: Path, session: requests.Session, number: int) -> None:
    arp = tmp_path / "arp"
    options = ("--count", "3", "--base", "127.9.5.1", "--port", "8105", "--neighbours", str(arp))
    process = start_command(*options, "--control", "127.0.0.1:0")
    assert process.stdout is not None
    with gevent.Timeout(10):
        line = process.stdout.readline().decode()
    found = re.fullmatch(
        r"simulator ready: 3 miners on 127\.9\.5\.1:8105 … 127\.9\.5\.3:8105, control on (\S+)\n", line
    )
    assert found, line
    assert session.get("http://127.9.5.2:8105/api/system/info").status_code == 200
    assert len(session.get(found[1]).json()) == 3
    assert len(arp.read_text().splitlines()) == 4
    process.send_signal(number)
    with gevent.Timeout(5):
        assert process.wait() == 0


def test_command_serves_recorded_body(tmp_path: Path, session: requests.Session) -> None:
    body = b'{"ASICModel":"BM1370","version":"v2.9.3","macAddr":"02:00:5E:12:34:56"}'
    (tmp_path / "body.json").write_bytes(body)
    process = start_command("--body", str(tmp_path / "body.json"), "--listen", "127.9.6.1:8101")
    assert process.stdout is not None
    with gevent.Timeout(10):
        assert process.stdout.readline() == b"simulator ready: 1 miners on 127.9.6.1:8101\n"
    assert session.get("http://127.9.6.1:8101/api/system/info").content == body
    process.terminate()
    assert process.wait() == 0


@pytest.mark.parametrize(
    ("body", "generation"),
    [
        (b'{"version":"v2.12.2"}', "2.12"),
        (b'{"version":"v2.14.1"}', "2.12"),
        (b'{"version":"v2.9"}', "2.7"),
        (b'{"version":"v2.0.7-48-ge561f60"}', "2.1"),
        (b'{"version":"7afa9af"}', "2.12"),
        (b'{"deviceModel":"NerdAxe"}', "nerd"),
        (b"[1]", "2.12"),
        (b"not json", "2.12"),
    ],
)
def test_generation_is_guessed_from_recorded_body(body: bytes, generation: str) -> None:
    assert make_recorded_spec(body, ("127.0.0.1", 0)).generation == generation


@pytest.mark.parametrize(
    "arguments",
    [
        ["--count", "2", "--generation", "3.0"],
        ["--body", "/nonexistent"],
        ["--count", "1", "--port", "0", "--control", "nowhere"],
    ],
)
def test_invalid_options_print_one_line_and_return_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("simulator: ") and printed.count("\n") == 1


@pytest.fixture
def control_api() -> Iterator[tuple[Fleet, str]]:
    with Fleet(make_specs(2, "2.12", base="127.0.0.1", per_address=False), timings=FAST_TIMINGS) as fleet:
        control = ControlServer(fleet, ("127.0.0.1", 0))
        control.start()
        yield fleet, f"http://{control.address}"
        control.stop()


def test_control_api_changes_miner(control_api: tuple[Fleet, str], session: requests.Session) -> None:
    fleet, base = control_api
    miner = fleet[0]
    one = f"{base}/miners/{miner.mac}"
    rows = session.get(f"{base}/miners").json()
    assert [row["mac"] for row in rows] == [miner.mac for miner in fleet]
    assert "hang" in session.get(f"{base}/faults").json()
    assert session.post(f"{one}/fault", data=json.dumps({"fault": "html"})).json()["fault"] == "html"
    assert miner.fault == "html"
    assert session.delete(f"{one}/fault").json()["fault"] is None
    assert session.get(one).json()["info"]["macAddr"] == miner.mac.upper()
    assert session.post(f"{one}/power_off").json()["powered"] is False
    assert session.post(f"{one}/power_on").json()["powered"] is True
    session.post(f"{one}/restart")
    wait_until(lambda: miner.boots == 1)
    session.post(f"{one}/say", data=json.dumps({"text": "hello"}))
    assert b"hello" in miner.log.recent[-1]
    moved = session.post(f"{one}/move", data=json.dumps({"address": "127.9.7.1:0"})).json()
    assert moved["address"].startswith("127.9.7.1:")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/miners/{mac}/fault", '{"fault": "explode"}', 400),
        ("POST", "/miners/{mac}/fault", "{", 400),
        ("POST", "/miners/{mac}/fault", "[]", 400),
        ("POST", "/miners/{mac}/move", '{"address": "x"}', 400),
        ("GET", "/miners/02:00:5e:ff:ff:ff", "", 404),
        ("GET", "/miners/nobody", "", 400),
        ("GET", "/nothing", "", 404),
    ],
)
def test_control_api_explains_errors(
    control_api: tuple[Fleet, str], session: requests.Session, method: str, path: str, body: str, status: int
) -> None:
    fleet, base = control_api
    reply = session.request(method, base + path.format(mac=fleet[0].mac), data=body)
    assert reply.status_code == status
    assert reply.json()["error"]


def test_control_api_lists_log_entries(control_api: tuple[Fleet, str], session: requests.Session) -> None:
    fleet, base = control_api
    session.post(f"{base}/miners/{fleet[0].mac}/say", json={"text": "hello °"})
    assert "hello °" in session.get(f"{base}/miners/{fleet[0].mac}/said").json()["said"][-1]


def test_import_patches_nothing_and_starts_nothing(start_miner: StartMiner) -> None:
    code = (
        "import socket, threading; real = socket.socket; import simulator, simulator.__main__; "
        "from gevent import monkey; assert socket.socket is real; "
        "assert not monkey.is_module_patched('socket'); assert threading.active_count() == 1"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_simulator_does_not_import_app() -> None:
    sources = (ROOT / "simulator").glob("*.py")
    assert not [path.name for path in sources if re.search(r"^\s*(from|import) app\b", path.read_text(), re.M)]
