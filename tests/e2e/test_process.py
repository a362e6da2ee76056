"""The service process: misconfigured, started twice, stopped under load, reloaded, its worker or master killed."""

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
from processes import MINER_COUNT, Process, ServiceProcess, SimulatorProcess, wait_for

EXIT_MISCONFIGURED = 2
EXIT_LOCKED = 3


def list_macs(service: ServiceProcess) -> set[str]:
    return {device["mac"] for device in service.list_devices()}


def list_loaded_libraries(pid: int) -> set[str]:
    """Return the names of the compiled libraries that a process has mapped, which show its imports."""
    return {Path(line.split()[-1]).name.split(".")[0] for line in Path(f"/proc/{pid}/maps").read_text().splitlines()}


def test_master_process_loads_no_library_of_the_service(service: ServiceProcess) -> None:
    """A master that imports the service takes 40 MB more."""
    [worker] = service.list_worker_pids()
    worker_libraries = {"plyvel", "_plyvel", "_greenlet", "_gevent_cgreenlet", "corecext", "_zeroconf"}
    assert list_loaded_libraries(worker) & worker_libraries
    assert not list_loaded_libraries(service.pid) & worker_libraries
    assert read_resident_bytes(service.pid) < 32_000_000


def read_resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def start_second_service(service: ServiceProcess, folder: Path) -> ServiceProcess:
    """Start a second service on the same data directory, at another port and with its own log."""
    folder.mkdir(exist_ok=True)
    return ServiceProcess(folder, {"DATA_DIR": str(service.data_dir)})


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
def test_invalid_setting_ends_the_start_with_one_line_and_status_2(tmp_path: Path, name: str, value: str) -> None:
    service = ServiceProcess(tmp_path, {name: value})
    assert service.wait(10) == EXIT_MISCONFIGURED
    [line] = service.read_output().splitlines()
    assert name in line
    assert value in line or name.endswith("_FILE")  # the value of a variable for a secret is never shown
    assert not service.data_dir.exists()


def test_uncreatable_data_directory_ends_the_start_with_one_line_and_status_2(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    service = ServiceProcess(tmp_path, {})
    assert service.wait(10) == EXIT_MISCONFIGURED
    [line] = service.read_output().splitlines()
    assert f"DATA_DIR={service.data_dir}" in line


def test_occupied_port_ends_the_start_with_one_line_and_status_2(
    start_service: Callable[..., ServiceProcess], tmp_path: Path
) -> None:
    first = start_service()
    (tmp_path / "second").mkdir()
    second = ServiceProcess(tmp_path / "second", {"PORT": first.port})
    assert second.wait(10) == EXIT_MISCONFIGURED
    # gunicorn alone tries five times, logs eleven lines and exits with status 1.
    [line] = second.read_output().splitlines()
    assert f"PORT={first.port}" in line
    assert first.is_ready()


def test_foreign_bind_address_ends_the_start_with_one_line_and_status_2(tmp_path: Path) -> None:
    service = ServiceProcess(tmp_path, {"BIND": "192.0.2.1"})
    assert service.wait(10) == EXIT_MISCONFIGURED
    [line] = service.read_output().splitlines()
    assert "BIND=192.0.2.1" in line


def test_service_listens_on_ipv6(tmp_path: Path, exit_stack: ExitStack) -> None:
    service = ServiceProcess(tmp_path, {"BIND": "::1"})
    exit_stack.callback(service.stop)
    service.url = f"http://[::1]:{service.port}"
    service.wait_until_ready()
    assert service.list_devices() == []


def test_second_start_on_one_data_directory_exits_3_and_leaves_the_first_running(
    service: ServiceProcess, tmp_path: Path
) -> None:
    before = list_macs(service)
    second = start_second_service(service, tmp_path / "second")
    assert second.wait(10) == EXIT_LOCKED
    [line] = second.read_output().splitlines()
    assert str(service.data_dir) in line
    assert list_macs(service) == before
    service.call_api("DELETE", f"/devices/imprint/{min(before)}")  # the store still writes
    assert list_macs(service) == before - {min(before)}


def test_sigterm_under_load_ends_the_service_within_5_seconds(
    service: ServiceProcess,
    miners: SimulatorProcess,
    start_node_script: Callable[..., Process],
    start_service: Callable[..., ServiceProcess],
) -> None:
    socket_clients = start_node_script("sockets.mjs", service.url)
    wait_for("updates at the clients", lambda: socket_clients.read_output().count('"stat_update"') > 20, 15)
    before = list_macs(service)
    load_greenlets = [
        gevent.spawn(request_forever, f"{service.url}{path}") for path in ("/metrics", "/devices/imprint", "/") * 5
    ]
    gevent.sleep(1)

    began = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - began < 5
    gevent.killall(load_greenlets)
    assert "Traceback" not in service.read_output()
    assert '"message":"stopped"' in service.read_output()

    restarted = start_service(POLL_INTERVAL=1, **miners.settings())
    assert list_macs(restarted) == before
    restarted.wait_until_online()


def request_forever(url: str) -> None:
    while True:
        try:
            requests.get(url, timeout=5)
        except requests.RequestException:
            gevent.sleep(0.1)


def signal_master(service: ServiceProcess, number: int) -> None:
    service.signal(number)


def signal_process_group(service: ServiceProcess, number: int) -> None:
    """Send the signal to all processes, as a terminal does."""
    os.killpg(service.pid, number)


def signal_twice(service: ServiceProcess, number: int) -> None:
    service.signal(number)
    gevent.sleep(0.1)
    os.killpg(service.pid, number)


@pytest.mark.parametrize(
    ("send", "number"),
    [
        (signal_master, signal.SIGINT),
        (signal_process_group, signal.SIGINT),
        (signal_twice, signal.SIGINT),
        (signal_master, signal.SIGQUIT),
        (signal_process_group, signal.SIGTERM),
        (signal_twice, signal.SIGTERM),
    ],
)
def test_every_stop_signal_shuts_the_service_down_in_order(
    service: ServiceProcess, send: Callable[..., None], number: int
) -> None:
    before = list_macs(service)
    send(service, number)
    assert service.wait(5) == 0
    assert service.read_output().count('"message":"stopped"') == 1
    assert "Traceback" not in service.read_output()
    assert set(read_stored_macs(service)) == before


def read_stored_macs(service: ServiceProcess) -> list[str]:
    """Return the registered MACs from the closed database of a stopped service."""
    database = plyvel.DB(str(service.data_dir / "pluto_core"), create_if_missing=False, paranoid_checks=True)
    try:
        return list(orjson.loads(database.get(b"devices:imprinted")))
    finally:
        database.close()


def test_sigterm_during_startup_logs_no_traceback(tmp_path: Path, exit_stack: ExitStack) -> None:
    for attempt in range(8):
        service = ServiceProcess(tmp_path, {})
        exit_stack.callback(service.stop)
        gevent.sleep(0.15 * attempt)
        assert service.stop(5) in (0, -signal.SIGTERM)
    assert "Traceback" not in service.read_output()


def test_sigpipe_and_reset_connections_do_not_disturb_the_service(service: ServiceProcess) -> None:
    [worker] = service.list_worker_pids()
    for pid in (service.pid, worker):
        os.kill(pid, signal.SIGPIPE)
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", int(service.port))) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01" + bytes(7))  # close() sends a reset
            client.sendall(b"GET /devices/imprint HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5)
    assert service.is_ready()
    assert service.list_worker_pids() == [worker]
    assert service.stop() == 0
    assert "Traceback" not in service.read_output()


def test_every_log_line_is_json_after_malformed_requests(service: ServiceProcess) -> None:
    """The lines of the libraries are JSON too."""
    for path in ("/socket/io/?EIO=4&transport=websocket", "/socket/io/?EIO=3&transport=polling", "/%ff%00", "/?%0a%0d"):
        requests.get(service.url + path, timeout=5, headers={"User-Agent": "a\x7fb %s"})
    with socket.create_connection(("127.0.0.1", int(service.port))) as client:
        client.sendall(b"NONSENSE\x1b[31m\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 400")
    assert service.stop() == 0
    lines = [orjson.loads(line) for line in service.read_output().splitlines()]
    assert {"at", "level", "logger", "message"} <= set.intersection(*map(set, lines))


def test_service_runs_on_when_its_log_output_is_closed(tmp_path: Path, exit_stack: ExitStack) -> None:
    """The reader of its output has exited, so each log line fails with EPIPE."""
    reader, writer = os.pipe()
    service = ServiceProcess(tmp_path, {"LOG_LEVEL": "debug"}, output=writer)
    exit_stack.callback(service.stop)
    os.close(writer)
    os.close(reader)
    service.wait_until_ready()
    assert service.list_devices() == []
    assert service.stop() == 0


def test_sighup_replaces_the_worker_and_keeps_the_directory_locked(service: ServiceProcess, tmp_path: Path) -> None:
    """Each request is answered by the old or the new worker, or with 503."""
    before, statuses = list_macs(service), Counter[int]()
    clients = [gevent.spawn(count_answers, f"{service.url}/devices/imprint", statuses) for _ in range(4)]
    for _ in range(3):
        [old_worker] = service.list_worker_pids()
        service.signal(signal.SIGHUP)
        wait_for_other_worker(service, old_worker)
    gevent.killall(clients)
    assert set(statuses) <= {200, 503} and statuses[200] > 10
    assert list_macs(service) == before
    service.wait_until_online()
    assert start_second_service(service, tmp_path / "second").wait(10) == EXIT_LOCKED
    assert "Traceback" not in service.read_output()


def wait_for_other_worker(service: ServiceProcess, old_worker: int) -> None:
    """Wait until another worker runs alone and the service is ready."""
    wait_for("another worker alone", lambda: is_replaced(service, old_worker), 20)
    wait_for("the service", service.is_ready, 20)


def is_replaced(service: ServiceProcess, old_worker: int) -> bool:
    workers = service.list_worker_pids()
    return len(workers) == 1 and old_worker not in workers


def count_answers(url: str, statuses: Counter[int]) -> None:
    while True:
        with suppress(requests.ConnectionError):  # the listener is being closed
            statuses[requests.get(url, timeout=10).status_code] += 1


def test_killed_worker_is_replaced_and_no_device_is_lost(service: ServiceProcess) -> None:
    before, [old_worker] = list_macs(service), service.list_worker_pids()
    os.kill(old_worker, signal.SIGKILL)
    wait_for_other_worker(service, old_worker)
    assert list_macs(service) == before
    service.wait_until_online()


def test_service_starts_again_after_the_master_was_killed(
    service: ServiceProcess, tmp_path: Path, exit_stack: ExitStack
) -> None:
    before, [orphaned_worker] = list_macs(service), service.list_worker_pids()
    service.signal(signal.SIGKILL)
    service.wait(5)
    wait_for("the orphaned worker to exit", lambda: not Path(f"/proc/{orphaned_worker}").exists(), 10)
    assert '"message":"stopped"' in service.read_output()
    restarted = ServiceProcess(tmp_path, service.settings)
    exit_stack.callback(restarted.stop)
    restarted.wait_until_ready()
    assert list_macs(restarted) == before
    assert len(before) == MINER_COUNT


def test_data_directory_is_private_to_its_owner(service: ServiceProcess) -> None:
    assert service.data_dir.stat().st_mode & 0o777 == 0o700
    files = [path for path in service.data_dir.rglob("*") if path.is_file() and path.parent != service.data_dir]
    assert files
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
