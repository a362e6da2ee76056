"""Tests of keep-alive, of socket limits, and of one request at a time."""

from __future__ import annotations

import gevent
import pytest
import requests
from gevent import socket
from sim_helpers import StartMiner, make_url, parse_endpoint, wait_until

from simulator import Miner

GET = b"GET /api/system/info HTTP/1.1\r\nHost: miner\r\nConnection: close\r\n\r\n"


def request_info(sock: socket.socket) -> bytes:
    """Send one GET and read the whole answer. Return its head."""
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
def test_axeos_ignores_connection_close(start_miner: StartMiner, generation: str) -> None:
    miner = start_miner(generation)
    with socket.create_connection(parse_endpoint(miner)) as sock:
        for _ in range(3):
            assert b"Connection: close" not in request_info(sock)
        assert miner.connections_accepted == miner.connections_open == 1
    wait_until(lambda: miner.connections_open == 0)


def test_nerdos_closes_after_each_answer(start_miner: StartMiner) -> None:
    miner = start_miner("nerd")
    with socket.create_connection(parse_endpoint(miner)) as sock:
        assert b"Connection: close" in request_info(sock)
        assert is_closed(sock)
    assert miner.connections_open == 0


@pytest.mark.parametrize(("generation", "limit"), [("2.12", 20), ("2.10", 20), ("nerd", 10)])
def test_purge_closes_least_recently_used_connection(start_miner: StartMiner, generation: str, limit: int) -> None:
    miner = start_miner(generation)
    socks = [socket.create_connection(parse_endpoint(miner)) for _ in range(limit)]
    wait_until(lambda: miner.connections_open == limit)
    if generation != "nerd":
        request_info(socks[0])
        oldest = socks[1]
    else:
        oldest = socks[0]
    late = socket.create_connection(parse_endpoint(miner))
    request_info(late)
    assert is_closed(oldest)
    assert miner.connections_open == limit - (generation == "nerd")
    if generation != "nerd":
        request_info(socks[0])


@pytest.mark.parametrize(("generation", "limit"), [("2.4", 7), ("2.7", 10)])
def test_server_without_purge_stops_accepting_at_limit(start_miner: StartMiner, generation: str, limit: int) -> None:
    miner = start_miner(generation)
    socks = [socket.create_connection(parse_endpoint(miner)) for _ in range(limit)]
    wait_until(lambda: miner.connections_open == limit)
    late = socket.create_connection(parse_endpoint(miner))  # accepted by the backlog only
    late.sendall(GET)
    late.settimeout(0.1)
    with pytest.raises(TimeoutError):
        late.recv(1)
    assert miner.connections_accepted == limit
    socks[0].close()
    late.settimeout(3)
    assert late.recv(4096).startswith(b"HTTP/1.1 200 OK")


def test_requests_are_answered_one_at_a_time(start_miner: StartMiner) -> None:
    miner = start_miner("2.12")
    miner.set_fault("slow", seconds=0.1)

    def send_request() -> None:
        with socket.create_connection(parse_endpoint(miner)) as sock:
            request_info(sock)

    with gevent.Timeout(3):
        started = miner.now()
        gevent.joinall([gevent.spawn(send_request) for _ in range(3)])
    assert miner.now() - started >= 0.3
    assert miner.max_in_flight == 3


def test_sequential_client_has_one_request_in_flight(start_miner: StartMiner, session: requests.Session) -> None:
    miner = start_miner("2.12")
    for _ in range(5):
        session.get(make_url(miner))
    assert miner.max_in_flight == 1
    assert miner.requests == {("GET", "/api/system/info"): 5}


def test_invalid_http_closes_connection(start_miner: StartMiner) -> None:
    miner = start_miner("2.12")
    with socket.create_connection(parse_endpoint(miner)) as sock:
        sock.sendall(b"\x16\x03\x01 this is TLS\r\n\r\n")
        assert is_closed(sock)


def test_stop_closes_sockets_and_refuses_connections(start_miner: StartMiner) -> None:
    miner: Miner = start_miner("2.12")
    sock = socket.create_connection(parse_endpoint(miner))
    request_info(sock)
    miner.stop()
    miner.stop()
    assert is_closed(sock)
    assert miner.connections_open == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(parse_endpoint(miner))
