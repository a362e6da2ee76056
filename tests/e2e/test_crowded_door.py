"""The service under gunicorn while somebody opens thousands of connections and finishes nothing: it stays small, serves
the others, and gets its files back."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from processes import Service, wait_for

HALF_OPEN = 5000
HEAD = b"GET /devices/imprint HTTP/1.1\r\nHost: x\r\nX-Slow: "
BODY = b"PUT /devices/listen HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"


@pytest.fixture(autouse=True)
def files() -> Iterator[None]:
    """As many as this test opens."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = HALF_OPEN + 500
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def megabytes(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def slowest_health(service: Service, times: int = 10) -> float:
    taken = []
    for _ in range(times):
        began = time.monotonic()
        assert requests.get(f"{service.url}/healthz", timeout=10).ok
        taken.append(time.monotonic() - began)
    return max(taken)


@pytest.mark.parametrize("said", [b"", HEAD, BODY], ids=["nothing", "half a head", "half a body"])
def test_five_thousand_half_open_connections(service: Service, said: bytes) -> None:
    [worker] = service.workers()
    files_before, memory_before = open_files(worker), megabytes(worker)
    opened: list[socket.socket] = []
    slowest = 0.0
    for number in range(HALF_OPEN):
        opened.append(socket.create_connection(("127.0.0.1", int(service.port)), 10))
        with suppress(OSError):
            opened[-1].sendall(said)
        if number % 500 == 499:
            slowest = max(slowest, slowest_health(service, 2))
    assert slowest < 2
    assert open_files(worker) < 2400 + files_before
    assert megabytes(worker) - memory_before < 200
    service.wait_until_online()
    for each in opened:
        each.close()
    wait_for("the files to be closed", lambda: open_files(worker) <= files_before + 5, 15)
    assert "Traceback" not in service.text()
    assert len(service.text().splitlines()) < 20


def test_a_slow_body_is_408_after_five_seconds_and_keeps_nobody_waiting(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", int(service.port)), 20) as slow:
        slow.sendall(BODY)
        began = time.monotonic()
        assert slowest_health(service) < 1
        answer = slow.recv(4096)
        assert 4 < time.monotonic() - began < 8
        while more := slow.recv(4096):  # head and body may come apart; then it is closed
            answer += more
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"error"' in answer


def test_short_tokens_are_one_line_and_exit_2(tmp_path: Path) -> None:
    for name in ("API_TOKEN", "API_TOKEN_READ"):
        (tmp_path / name).mkdir()
        service = Service(tmp_path / name, {name: "fifteen-letters"})
        assert service.wait(10) == 2
        [line] = service.text().splitlines()
        assert name in line
        assert "fifteen-letters" not in line


def test_a_token_from_a_file_closes_everything_but_the_probes(start: Callable[..., Service], tmp_path: Path) -> None:
    (tmp_path / "token").write_text("control-token-0123456789\n")
    service = start(API_TOKEN_FILE=tmp_path / "token")
    for path, status in (("/healthz", 200), ("/readyz", 200), ("/metrics", 401), ("/", 401), ("/devices/imprint", 401)):
        assert requests.get(service.url + path, timeout=5).status_code == status
    shown = {"Authorization": "Bearer control-token-0123456789"}
    assert requests.get(f"{service.url}/metrics", headers=shown, timeout=5).ok
