"""The service under gunicorn while a client holds thousands of unfinished connections, and with API tokens.

Its memory stays bounded, other clients are served, and all file descriptors are released.
"""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from processes import ServiceProcess, wait_for

CONNECTIONS = 5000
HEAD = b"GET /devices/imprint HTTP/1.1\r\nHost: x\r\nX-Slow: "
BODY = b"PUT /devices/listen HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"


@pytest.fixture(autouse=True)
def raised_file_limit() -> Iterator[None]:
    """Allow this process to open as many files as the test needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + 500
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def resident_megabytes(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def count_open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def measure_slowest_healthz(service: ServiceProcess, times: int = 10) -> float:
    durations = []
    for _ in range(times):
        began = time.monotonic()
        assert requests.get(f"{service.url}/healthz", timeout=10).ok
        durations.append(time.monotonic() - began)
    return max(durations)


@pytest.mark.parametrize("sent", [b"", HEAD, BODY], ids=["nothing", "half a head", "half a body"])
def test_five_thousand_unfinished_requests_leave_the_service_responsive(service: ServiceProcess, sent: bytes) -> None:
    [worker] = service.list_worker_pids()
    files_before, memory_before = count_open_files(worker), resident_megabytes(worker)
    connections: list[socket.socket] = []
    slowest = 0.0
    for number in range(CONNECTIONS):
        connections.append(socket.create_connection(("127.0.0.1", int(service.port)), 10))
        with suppress(OSError):
            connections[-1].sendall(sent)
        if number % 500 == 499:
            slowest = max(slowest, measure_slowest_healthz(service, 2))
    assert slowest < 2
    assert count_open_files(worker) < 2400 + files_before
    assert resident_megabytes(worker) - memory_before < 200
    service.wait_until_online()
    for each in connections:
        each.close()
    wait_for("the closed connections to be released", lambda: count_open_files(worker) <= files_before + 5, 15)
    assert "Traceback" not in service.read_output()
    assert len(service.read_output().splitlines()) < 20


def test_slow_body_is_408_after_five_seconds_and_does_not_delay_others(service: ServiceProcess) -> None:
    with socket.create_connection(("127.0.0.1", int(service.port)), 20) as connection:
        connection.sendall(BODY)
        began = time.monotonic()
        assert measure_slowest_healthz(service) < 1
        answer = connection.recv(4096)
        assert 4 < time.monotonic() - began < 8
        while more := connection.recv(4096):  # head and body may arrive separately; then the connection is closed
            answer += more
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"error"' in answer


def test_short_token_is_refused_with_one_line_and_exit_status_2(tmp_path: Path) -> None:
    for name in ("API_TOKEN", "API_TOKEN_READ"):
        (tmp_path / name).mkdir()
        service = ServiceProcess(tmp_path / name, {name: "fifteen-letters"})
        assert service.wait(10) == 2
        [line] = service.read_output().splitlines()
        assert name in line
        assert "fifteen-letters" not in line


def test_token_from_a_file_protects_everything_except_probes_and_web_interface(
    start_service: Callable[..., ServiceProcess], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("control-token-0123456789\n")
    service = start_service(API_TOKEN_FILE=tmp_path / "token")
    for path in ("/healthz", "/readyz", "/", "/docs"):
        assert requests.get(service.url + path, timeout=5).status_code == 200
    for path in ("/metrics", "/devices/imprint", "/openapi.json", "/assets/nothing.js"):
        assert requests.get(service.url + path, timeout=5).status_code == 401
    headers = {"Authorization": "Bearer control-token-0123456789"}
    assert requests.get(f"{service.url}/metrics", headers=headers, timeout=5).ok
