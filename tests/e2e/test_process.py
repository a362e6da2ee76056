"""How the process behaves: misconfigured, started twice, stopped under load, reloaded, worker or master killed."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import gevent
import orjson
import plyvel
import pytest
import requests
from processes import MINERS, Miners, Process, Service, wait_for

MISCONFIGURED = 2
LOCKED = 3


def known(service: Service) -> set[str]:
    return {device["mac"] for device in service.devices()}


def modules_of(pid: int) -> set[str]:
    """The compiled libraries that a process has loaded: what it maps tells what it imported."""
    return {Path(line.split()[-1]).name.split(".")[0] for line in Path(f"/proc/{pid}/maps").read_text().splitlines()}


def test_the_master_holds_the_lock_and_imports_nothing_of_the_service(service: Service) -> None:
    """The service in both processes would cost 40 MB more."""
    [worker] = service.workers()
    heavy = {"plyvel", "_plyvel", "_greenlet", "_gevent_cgreenlet", "corecext", "_zeroconf"}
    assert modules_of(worker) & heavy
    assert not modules_of(service.pid) & heavy
    assert rss_of(service.pid) < 32_000_000


def rss_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def second_start(service: Service, folder: Path) -> Service:
    """On the same data directory, at another port, with a log of its own."""
    folder.mkdir(exist_ok=True)
    return Service(folder, {"DATA_DIR": str(service.data_dir)})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "abc"),
        ("PORT", "70000"),
        ("PORT", "0"),
        ("POLL_INTERVAL", "0"),
        ("PERSIST_INTERVAL", "often"),
        ("LOG_LEVEL", "loud"),
        ("BIND", "everywhere"),
        ("AUTO_LISTEN", "perhaps"),
        ("ALLOWED_DEVICE_NETWORKS", "10.0.0.0/40"),
        ("DISCOVERY_PORTS", "80-70"),
        ("DISCOVERY_SERVICE_HOST", "discovery:3000"),
        ("GF_HOST", "ftp://grafana"),
        ("GRAFANA_TOKEN_FILE", "/nowhere/token"),
    ],
)
def test_misconfiguration_is_one_line_and_exit_2(tmp_path: Path, name: str, value: str) -> None:
    service = Service(tmp_path, {name: value})
    assert service.wait(10) == MISCONFIGURED
    [line] = service.text().splitlines()
    assert name in line
    assert value in line or name.endswith("_FILE")  # what a secret's variable holds is never shown
    assert not service.data_dir.exists()


def test_a_data_directory_that_cannot_be_made_is_one_line_and_exit_2(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    service = Service(tmp_path, {})
    assert service.wait(10) == MISCONFIGURED
    [line] = service.text().splitlines()
    assert f"DATA_DIR={service.data_dir}" in line


def test_a_port_that_is_taken_is_one_line_and_exit_2(start: Callable[..., Service], tmp_path: Path) -> None:
    first = start()
    (tmp_path / "second").mkdir()
    second = Service(tmp_path / "second", {"PORT": first.port})
    assert second.wait(10) == MISCONFIGURED
    [line] = second.text().splitlines()  # gunicorn's own five attempts say eleven, and end with status 1
    assert f"PORT={first.port}" in line
    assert first.is_ready()


def test_an_address_that_is_not_ours_is_one_line_and_exit_2(tmp_path: Path) -> None:
    service = Service(tmp_path, {"BIND": "192.0.2.1"})
    assert service.wait(10) == MISCONFIGURED
    [line] = service.text().splitlines()
    assert "BIND=192.0.2.1" in line


def test_it_listens_on_ipv6_too(tmp_path: Path, stack: ExitStack) -> None:
    service = Service(tmp_path, {"BIND": "::1"})
    stack.callback(service.stop)
    service.url = f"http://[::1]:{service.port}"
    service.wait_until_ready()
    assert service.devices() == []


def test_second_start_on_one_data_directory_exits_3_and_harms_nobody(service: Service, tmp_path: Path) -> None:
    before = known(service)
    second = second_start(service, tmp_path / "second")
    assert second.wait(10) == LOCKED
    [line] = second.text().splitlines()
    assert str(service.data_dir) in line
    assert known(service) == before
    service.call("DELETE", f"/devices/imprint/{min(before)}")  # the store still writes
    assert known(service) == before - {min(before)}


def test_sigterm_under_load_ends_within_5_seconds(
    service: Service, miners: Miners, node: Callable[..., Process], start: Callable[..., Service]
) -> None:
    clients = node("sockets.mjs", service.url)
    wait_for("updates at the clients", lambda: clients.text().count('"stat_update"') > 20, 15)
    before = known(service)
    load = [gevent.spawn(hammer, f"{service.url}{path}") for path in ("/metrics", "/devices/imprint", "/") * 5]
    gevent.sleep(1)

    began = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - began < 5
    gevent.killall(load)
    assert "Traceback" not in service.text()
    assert '"message":"stopped"' in service.text()

    again = start(POLL_INTERVAL=1, **miners.settings())
    assert known(again) == before
    again.wait_until_online()


def hammer(url: str) -> None:
    while True:
        try:
            requests.get(url, timeout=5)
        except requests.RequestException:
            gevent.sleep(0.1)


def to_master(service: Service, number: int) -> None:
    service.signal(number)


def to_all(service: Service, number: int) -> None:
    """As a terminal does."""
    os.killpg(service.pid, number)


def twice(service: Service, number: int) -> None:
    service.signal(number)
    gevent.sleep(0.1)
    os.killpg(service.pid, number)


@pytest.mark.parametrize(
    ("send", "number"),
    [
        (to_master, signal.SIGINT),
        (to_all, signal.SIGINT),
        (twice, signal.SIGINT),
        (to_master, signal.SIGQUIT),
        (to_all, signal.SIGTERM),
        (twice, signal.SIGTERM),
    ],
)
def test_however_it_is_told_to_end_it_ends_in_order(service: Service, send: Callable[..., None], number: int) -> None:
    before = known(service)
    send(service, number)
    assert service.wait(5) == 0
    assert service.text().count('"message":"stopped"') == 1
    assert "Traceback" not in service.text()
    assert set(stored(service)) == before


def stored(service: Service) -> list[str]:
    """The list of MACs in the store as it was left; nobody holds it."""
    database = plyvel.DB(str(service.data_dir / "pluto_core"), create_if_missing=False, paranoid_checks=True)
    try:
        return list(orjson.loads(database.get(b"devices:imprinted")))
    finally:
        database.close()


def test_sigterm_while_it_starts_leaves_no_traceback(tmp_path: Path, stack: ExitStack) -> None:
    for times in range(8):
        service = Service(tmp_path, {})
        stack.callback(service.stop)
        gevent.sleep(0.15 * times)
        assert service.stop(5) in (0, -signal.SIGTERM)
    assert "Traceback" not in service.text()


def test_sigpipe_and_callers_that_hang_up_are_nothing(service: Service) -> None:
    [worker] = service.workers()
    for pid in (service.pid, worker):
        os.kill(pid, signal.SIGPIPE)
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", int(service.port))) as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01" + bytes(7))  # ends by a reset
            caller.sendall(b"GET /devices/imprint HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5)
    assert service.is_ready()
    assert service.workers() == [worker]
    assert service.stop() == 0
    assert "Traceback" not in service.text()


def test_every_line_it_says_is_json(service: Service) -> None:
    """The libraries' lines too, whatever clients do."""
    for path in ("/socket/io/?EIO=4&transport=websocket", "/socket/io/?EIO=3&transport=polling", "/%ff%00", "/?%0a%0d"):
        requests.get(service.url + path, timeout=5, headers={"User-Agent": "a\x7fb %s"})
    with socket.create_connection(("127.0.0.1", int(service.port))) as caller:
        caller.sendall(b"NONSENSE\x1b[31m\r\n\r\n")
        assert caller.recv(100).startswith(b"HTTP/1.1 400")
    assert service.stop() == 0
    lines = [orjson.loads(line) for line in service.text().splitlines()]
    assert {"at", "level", "logger", "message"} <= set.intersection(*map(set, lines))


def test_its_log_may_go_nowhere(tmp_path: Path, stack: ExitStack) -> None:
    """Whoever read its output is gone: each line is an error then, and the service runs on."""
    reader, writer = os.pipe()
    service = Service(tmp_path, {"LOG_LEVEL": "debug"}, output=writer)
    stack.callback(service.stop)
    os.close(writer)
    os.close(reader)
    service.wait_until_ready()
    assert service.devices() == []
    assert service.stop() == 0


def test_hup_replaces_the_worker_and_keeps_the_directory(service: Service, tmp_path: Path) -> None:
    """Callers are answered by the one or the other, or told to ask again."""
    before, statuses = known(service), Counter[int]()
    callers = [gevent.spawn(note_answers, f"{service.url}/devices/imprint", statuses) for _ in range(4)]
    for _ in range(3):
        [old] = service.workers()
        service.signal(signal.SIGHUP)
        wait_for("another worker alone", lambda: len(service.workers()) == 1 and old not in service.workers(), 20)  # noqa: B023
        wait_for("the service", service.is_ready, 20)
    gevent.killall(callers)
    assert set(statuses) <= {200, 503} and statuses[200] > 10
    assert known(service) == before
    service.wait_until_online()
    assert second_start(service, tmp_path / "second").wait(10) == LOCKED
    assert "Traceback" not in service.text()


def note_answers(url: str, statuses: Counter[int]) -> None:
    while True:
        with suppress(requests.ConnectionError):  # of a listener that is just being closed
            statuses[requests.get(url, timeout=10).status_code] += 1


def test_killed_worker_is_replaced_and_nothing_is_lost(service: Service) -> None:
    before, [old] = known(service), service.workers()
    os.kill(old, signal.SIGKILL)
    wait_for("another worker", lambda: service.workers() not in ([], [old]), 15)
    wait_for("the service", service.is_ready, 20)
    assert known(service) == before
    service.wait_until_online()


def test_after_the_master_was_killed_it_starts_again(service: Service, tmp_path: Path, stack: ExitStack) -> None:
    before, [orphan] = known(service), service.workers()
    service.signal(signal.SIGKILL)
    service.wait(5)
    wait_for("the orphan to leave", lambda: not Path(f"/proc/{orphan}").exists(), 10)
    assert '"message":"stopped"' in service.text()
    again = Service(tmp_path, service.settings)
    stack.callback(again.stop)
    again.wait_until_ready()
    assert known(again) == before
    assert len(before) == MINERS


def test_data_directory_is_for_its_owner_only(service: Service) -> None:
    assert service.data_dir.stat().st_mode & 0o777 == 0o700
    files = [path for path in service.data_dir.rglob("*") if path.is_file() and path.parent != service.data_dir]
    assert files
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
