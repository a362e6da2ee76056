"""Tests of /api/ws, /api/ws/live and /api/system/logs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import orjson
import pytest
import requests
import websocket
from sim_helpers import FakeClock, StartMiner, make_url, wait_until

from simulator import Miner

ConnectWebSocket = Callable[..., websocket.WebSocket]


@pytest.fixture
def connect_websocket() -> Iterator[ConnectWebSocket]:
    opened: list[websocket.WebSocket] = []

    def open_websocket(miner: Miner, path: str = "/api/ws", **options: Any) -> websocket.WebSocket:
        options.setdefault("suppress_origin", True)
        sock = websocket.create_connection(
            f"ws://{miner.address}{path}", timeout=2, skip_utf8_validation=True, **options
        )
        opened.append(sock)
        return sock

    yield open_websocket
    for sock in opened:
        sock.shutdown()


def receive_frame(sock: websocket.WebSocket) -> bytes:
    return sock.recv_data()[1]  # type: ignore[no-any-return]


def receives_nothing(sock: websocket.WebSocket) -> bool:
    sock.settimeout(0.15)
    try:
        sock.recv()
    except websocket.WebSocketTimeoutException:
        return True
    return False


LINE = rb"\x1b\[0;32mI \(\d+\) tag: hello \xc2\xb0\x1b\[0m\n"


@pytest.mark.parametrize("generation", ["2.1", "2.7", "2.10", "2.12", "2.15"])
def test_log_line_has_colours_on_axeos(
    start_miner: StartMiner, connect_websocket: ConnectWebSocket, generation: str
) -> None:
    miner = start_miner(generation)
    sock = connect_websocket(miner)
    wait_until(lambda: miner.log.subscribers)
    miner.log.write_line("hello °", tag="tag")
    assert re.fullmatch(LINE, receive_frame(sock))


def test_log_line_has_no_colours_on_nerdos(start_miner: StartMiner, connect_websocket: ConnectWebSocket) -> None:
    miner = start_miner("nerd")
    sock = connect_websocket(miner)
    wait_until(lambda: miner.log.subscribers)
    miner.log.write_line("hello", tag="tag")
    assert re.fullmatch(rb"I \(\d+\) tag: hello\n", receive_frame(sock))


def test_wifi_line_has_no_colours(start_miner: StartMiner, connect_websocket: ConnectWebSocket) -> None:
    miner = start_miner("2.12")
    sock = connect_websocket(miner)
    wait_until(lambda: miner.log.subscribers)
    miner.log.write_line("mode : sta", tag="wifi")
    assert re.fullmatch(rb"I \(\d+\) wifi:mode : sta\n", receive_frame(sock))


@pytest.mark.parametrize(
    ("generation", "frames"),
    [("2.12", [b"tx: {}\n\x1b[0m\n"]), ("2.15", [b"tx: {}\n", b"\x1b[0m\n"])],
)
def test_inner_newline_splits_frames_since_2_14(
    start_miner: StartMiner, connect_websocket: ConnectWebSocket, generation: str, frames: list[bytes]
) -> None:
    """One frame per ESP_LOG call up to 2.13, one per line since 2.14."""
    miner = start_miner(generation)
    sock = connect_websocket(miner)
    wait_until(lambda: miner.log.subscribers)
    miner.log.write_bytes(b"tx: {}\n\x1b[0m\n")
    assert [receive_frame(sock) for _ in frames] == frames
    assert receives_nothing(sock)


def test_long_line_is_cut_at_4096_bytes(start_miner: StartMiner, connect_websocket: ConnectWebSocket) -> None:
    """Since 2.14 a long line is cut at 4096 bytes, also inside a character."""
    miner = start_miner("2.15")
    sock = connect_websocket(miner)
    wait_until(lambda: miner.log.subscribers)
    text = ("x" + "°" * 2100 + "\n").encode()
    miner.log.write_bytes(b"\n" + text)
    parts = [receive_frame(sock) for _ in range(3)]
    assert parts[0] == b"\n"
    assert len(parts[1]) == 4096
    with pytest.raises(UnicodeDecodeError):
        parts[1].decode()
    assert parts[1] + parts[2] == text


def test_lines_arrive_in_order_of_time(start_miner: StartMiner, connect_websocket: ConnectWebSocket) -> None:
    miner = start_miner("2.10", log_rate=400.0)
    sock = connect_websocket(miner)
    got = [receive_frame(sock) for _ in range(60)]
    stamps = [int(found[1]) for found in (re.search(rb"\((\d+)\)", entry) for entry in got) if found]
    assert len(stamps) == 60
    assert stamps == sorted(stamps)
    assert list(miner.log.recent)[:60] == got


@pytest.mark.parametrize("generation", ["2.7", "nerd"])
def test_newest_client_takes_over_single_stream(
    start_miner: StartMiner, connect_websocket: ConnectWebSocket, generation: str
) -> None:
    miner = start_miner(generation)
    old, new = connect_websocket(miner), connect_websocket(miner)
    wait_until(lambda: len(miner.log.subscribers) == 2)
    miner.log.write_line("for the newest client")
    assert b"for the newest client" in receive_frame(new)
    assert receives_nothing(old)
    new.close()
    wait_until(lambda: len(miner.log.subscribers) == 1)
    miner.log.write_line("for no client")
    assert receives_nothing(old)
    old.ping()  # the socket is still open
    assert old.recv_data(control_frame=True)[0] == websocket.ABNF.OPCODE_PONG


def test_ten_clients_receive_every_line(start_miner: StartMiner, connect_websocket: ConnectWebSocket) -> None:
    miner = start_miner("2.12")
    socks = [connect_websocket(miner) for _ in range(10)]
    wait_until(lambda: len(miner.log.subscribers) == 10)
    miner.log.write_line("for all clients")
    assert all(b"for all clients" in receive_frame(sock) for sock in socks)


def test_eleventh_client_is_refused_with_429(start_miner: StartMiner, connect_websocket: ConnectWebSocket) -> None:
    """2.15 refuses before the handshake; older firmware writes the refusal into the open websocket."""
    new, old = start_miner("2.15"), start_miner("2.12")
    for miner in (new, old):
        for _ in range(10):
            connect_websocket(miner)
        wait_until(lambda miner=miner: len(miner.websockets) == 10)  # type: ignore[misc]
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        connect_websocket(new)
    assert refused.value.status_code == 429
    late = connect_websocket(old)
    assert late.sock.recv(100).startswith(b"HTTP/1.1 429 Too Many Requests\r\n")


def test_live_clients_count_towards_limit(start_miner: StartMiner, connect_websocket: ConnectWebSocket) -> None:
    miner = start_miner("2.15")
    for _ in range(10):
        connect_websocket(miner, "/api/ws/live")
    with pytest.raises(websocket.WebSocketBadStatusException):
        connect_websocket(miner)


def test_websocket_with_foreign_origin_is_refused(start_miner: StartMiner, connect_websocket: ConnectWebSocket) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        connect_websocket(start_miner("2.15"), suppress_origin=False, origin="http://evil.example")
    assert refused.value.status_code == 401
    sock = connect_websocket(start_miner("2.12"), suppress_origin=False, origin="http://evil.example")
    assert sock.sock.recv(100).startswith(b"HTTP/1.1 401 Unauthorized\r\n")


def test_pings_and_closes_are_answered(start_miner: StartMiner, connect_websocket: ConnectWebSocket) -> None:
    miner = start_miner("2.12")
    sock = connect_websocket(miner)
    sock.ping("payload")
    assert sock.recv_data(control_frame=True) == (websocket.ABNF.OPCODE_PONG, b"payload")
    sock.send("ignored")
    sock.send_close()
    assert sock.recv_data(control_frame=True)[0] == websocket.ABNF.OPCODE_CLOSE
    wait_until(lambda: miner.connections_open == 0 and not miner.log.subscribers)


def test_restart_resets_websocket_and_log_time(start_miner: StartMiner, connect_websocket: ConnectWebSocket) -> None:
    miner = start_miner("2.15")
    sock = connect_websocket(miner)
    wait_until(lambda: miner.log.subscribers)
    miner.restart()
    with pytest.raises((ConnectionResetError, websocket.WebSocketConnectionClosedException)):
        sock.recv()
    wait_until(lambda: miner.powered)
    again = connect_websocket(miner)
    wait_until(lambda: miner.log.subscribers)
    miner.log.write_line("back")
    found = re.search(rb"\((\d+)\)", receive_frame(again))
    assert found and int(found[1]) < 3000


def test_live_sends_all_members_then_changes(
    start_miner: StartMiner, connect_websocket: ConnectWebSocket, clock: FakeClock
) -> None:
    miner = start_miner("2.15", clock=clock)
    sock = connect_websocket(miner, "/api/ws/live")
    first = orjson.loads(receive_frame(sock))
    assert first["event"] == "update"
    assert set(miner.read_info()) - set(first["data"]) == {"fullHostname", "mdnsHostname"}
    clock.advance(5)
    second = orjson.loads(receive_frame(sock))["data"]
    assert second["uptimeSeconds"] == first["data"]["uptimeSeconds"] + 5
    assert not {"version", "pools", "frequency"} & set(second)
    assert set(second["hashrateMonitor"]) == {"asics"}


def test_live_is_missing_before_2_14(start_miner: StartMiner, session: requests.Session) -> None:
    assert session.get(make_url(start_miner("2.12"), "/api/ws/live"), allow_redirects=False).status_code == 302


def test_client_that_does_not_read_blocks_device(
    start_miner: StartMiner, connect_websocket: ConnectWebSocket, session: requests.Session
) -> None:
    miner = start_miner("2.15")
    sock = connect_websocket(miner, sockopt=[(6, 1, 1), (1, 8, 4096)])
    wait_until(lambda: miner.log.subscribers)
    for _ in range(600):
        miner.log.write_bytes(b"x" * 4000 + b"\n")
    gevent.sleep(0.2)
    with pytest.raises(requests.ReadTimeout):
        session.get(make_url(miner), timeout=0.3)
    sock.shutdown()
    session.close()
    assert session.get(make_url(miner), timeout=3).status_code == 200


def test_log_download_returns_ring_buffer(start_miner: StartMiner, session: requests.Session) -> None:
    miner = start_miner("2.15", log_rate=50.0, hostname="rig")
    reply = session.get(make_url(miner, "/api/system/logs"))
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, "text/plain")
    assert reply.headers["Transfer-Encoding"] == "chunked"
    assert "attachment" in reply.headers["Content-Disposition"]
    assert reply.content.count(b"\n") > 50
    miner.restart()
    wait_until(lambda: miner.boots == 1)
    after = session.get(make_url(miner, "/api/system/logs")).content
    assert after.startswith(reply.content)
    assert b"\n--- SYSTEM RESTART ---\n" in after
    assert b'"mining.authorize", "params": ["bc1qexample' in after and b'.rig", "x"]' in after
    assert session.get(make_url(start_miner("2.12"), "/api/system/logs"), allow_redirects=False).status_code == 302
