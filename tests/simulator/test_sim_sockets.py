"""Keep-alive, socket limits, and one request at a time."""

from __future__ import annotations

import gevent
import pytest
import requests
from gevent import socket
from sim_helpers import Start, endpoint, url, wait_for

from simulator import Miner

GET = b"GET /api/system/info HTTP/1.1\r\nHost: miner\r\nConnection: close\r\n\r\n"


def ask(sock: socket.socket) -> bytes:
    """Send one GET and read its whole answer."""
    sock.sendall(GET)
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(4096)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += sock.recv(4096)
    return head


def is_closed(sock: socket.socket) -> bool:
    sock.settimeout(0.5)
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


@pytest.mark.parametrize("generation", ["2.1", "2.7", "2.12", "2.15"])
def test_axeos_ignores_connection_close(start: Start, generation: str) -> None:
    miner = start(generation)
    with socket.create_connection(endpoint(miner)) as sock:
        for _ in range(3):
            assert b"Connection: close" not in ask(sock)
        assert miner.connections_accepted == miner.connections_open == 1
    wait_for(lambda: miner.connections_open == 0)


def test_nerdos_closes_after_each_answer(start: Start) -> None:
    miner = start("nerd")
    with socket.create_connection(endpoint(miner)) as sock:
        assert b"Connection: close" in ask(sock)
        assert is_closed(sock)
    assert miner.connections_open == 0


@pytest.mark.parametrize(("generation", "limit"), [("2.12", 20), ("2.10", 20), ("nerd", 10)])
def test_purge_closes_the_least_recently_used(start: Start, generation: str, limit: int) -> None:
    miner = start(generation)
    socks = [socket.create_connection(endpoint(miner)) for _ in range(limit)]
    wait_for(lambda: miner.connections_open == limit)
    if generation != "nerd":
        ask(socks[0])
        oldest = socks[1]
    else:
        oldest = socks[0]
    late = socket.create_connection(endpoint(miner))
    ask(late)
    assert is_closed(oldest)
    assert miner.connections_open == limit - (generation == "nerd")
    if generation != "nerd":
        ask(socks[0])


@pytest.mark.parametrize(("generation", "limit"), [("2.4", 7), ("2.7", 10)])
def test_without_purge_it_stops_accepting(start: Start, generation: str, limit: int) -> None:
    miner = start(generation)
    socks = [socket.create_connection(endpoint(miner)) for _ in range(limit)]
    wait_for(lambda: miner.connections_open == limit)
    late = socket.create_connection(endpoint(miner))  # the backlog takes it
    late.sendall(GET)
    late.settimeout(0.1)
    with pytest.raises(TimeoutError):
        late.recv(1)
    assert miner.connections_accepted == limit
    socks[0].close()
    late.settimeout(3)
    assert late.recv(4096).startswith(b"HTTP/1.1 200 OK")


def test_one_request_at_a_time(start: Start) -> None:
    miner = start("2.12")
    miner.set_fault("slow", seconds=0.1)

    def client() -> None:
        with socket.create_connection(endpoint(miner)) as sock:
            ask(sock)

    with gevent.Timeout(3):
        started = miner.now()
        gevent.joinall([gevent.spawn(client) for _ in range(3)])
    assert miner.now() - started >= 0.3
    assert miner.max_in_flight == 3


def test_max_in_flight_of_a_polite_client_is_one(start: Start, http: requests.Session) -> None:
    miner = start("2.12")
    for _ in range(5):
        http.get(url(miner))
    assert miner.max_in_flight == 1
    assert miner.requests == {("GET", "/api/system/info"): 5}


def test_garbage_closes_the_connection(start: Start) -> None:
    miner = start("2.12")
    with socket.create_connection(endpoint(miner)) as sock:
        sock.sendall(b"\x16\x03\x01 this is TLS\r\n\r\n")
        assert is_closed(sock)


def test_stop_is_a_promise(start: Start) -> None:
    miner: Miner = start("2.12")
    sock = socket.create_connection(endpoint(miner))
    ask(sock)
    miner.stop()
    miner.stop()
    assert is_closed(sock)
    assert miner.connections_open == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(endpoint(miner))
