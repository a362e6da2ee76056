"""/api/ws, /api/ws/live and /api/system/logs as they are on the wire."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import orjson
import pytest
import requests
import websocket
from sim_helpers import FakeClock, Start, url, wait_for

from simulator import Miner

Connect = Callable[..., websocket.WebSocket]


@pytest.fixture
def connect() -> Iterator[Connect]:
    opened: list[websocket.WebSocket] = []

    def begin(miner: Miner, path: str = "/api/ws", **options: Any) -> websocket.WebSocket:
        options.setdefault("suppress_origin", True)
        sock = websocket.create_connection(
            f"ws://{miner.address}{path}", timeout=2, skip_utf8_validation=True, **options
        )
        opened.append(sock)
        return sock

    yield begin
    for sock in opened:
        sock.shutdown()


def receive(sock: websocket.WebSocket) -> bytes:
    return sock.recv_data()[1]  # type: ignore[no-any-return]


def hears_nothing(sock: websocket.WebSocket) -> bool:
    sock.settimeout(0.15)
    try:
        sock.recv()
    except websocket.WebSocketTimeoutException:
        return True
    return False


LINE = rb"\x1b\[0;32mI \(\d+\) tag: hello \xc2\xb0\x1b\[0m\n"


@pytest.mark.parametrize("generation", ["2.1", "2.7", "2.10", "2.12", "2.15"])
def test_a_line(start: Start, connect: Connect, generation: str) -> None:
    miner = start(generation)
    sock = connect(miner)
    wait_for(lambda: miner.log.subscribers)
    miner.log.write_line("hello °", tag="tag")
    assert re.fullmatch(LINE, receive(sock))


def test_nerdos_has_no_colours(start: Start, connect: Connect) -> None:
    miner = start("nerd")
    sock = connect(miner)
    wait_for(lambda: miner.log.subscribers)
    miner.log.write_line("hello", tag="tag")
    assert re.fullmatch(rb"I \(\d+\) tag: hello\n", receive(sock))


def test_wifi_lines_have_no_colours(start: Start, connect: Connect) -> None:
    miner = start("2.12")
    sock = connect(miner)
    wait_for(lambda: miner.log.subscribers)
    miner.log.write_line("mode : sta", tag="wifi")
    assert re.fullmatch(rb"I \(\d+\) wifi:mode : sta\n", receive(sock))


@pytest.mark.parametrize(
    ("generation", "frames"),
    [("2.12", [b"tx: {}\n\x1b[0m\n"]), ("2.15", [b"tx: {}\n", b"\x1b[0m\n"])],
)
def test_inner_newlines(start: Start, connect: Connect, generation: str, frames: list[bytes]) -> None:
    """One frame per call up to 2.13, one per line from 2.14 on."""
    miner = start(generation)
    sock = connect(miner)
    wait_for(lambda: miner.log.subscribers)
    miner.log.write_bytes(b"tx: {}\n\x1b[0m\n")
    assert [receive(sock) for _ in frames] == frames
    assert hears_nothing(sock)


def test_blank_frames_and_long_lines(start: Start, connect: Connect) -> None:
    """≥ 2.14 cuts at 4096 bytes, inside a character if it falls so."""
    miner = start("2.15")
    sock = connect(miner)
    wait_for(lambda: miner.log.subscribers)
    text = ("x" + "°" * 2100 + "\n").encode()
    miner.log.write_bytes(b"\n" + text)
    parts = [receive(sock) for _ in range(3)]
    assert parts[0] == b"\n"
    assert len(parts[1]) == 4096
    with pytest.raises(UnicodeDecodeError):
        parts[1].decode()
    assert parts[1] + parts[2] == text


def test_lines_come_with_time_in_order(start: Start, connect: Connect) -> None:
    miner = start("2.10", log_rate=400.0)
    sock = connect(miner)
    got = [receive(sock) for _ in range(60)]
    stamps = [int(found[1]) for found in (re.search(rb"\((\d+)\)", entry) for entry in got) if found]
    assert len(stamps) == 60
    assert stamps == sorted(stamps)
    assert list(miner.log.recent)[:60] == got


@pytest.mark.parametrize("generation", ["2.7", "nerd"])
def test_the_newest_steals_the_stream(start: Start, connect: Connect, generation: str) -> None:
    miner = start(generation)
    old, new = connect(miner), connect(miner)
    wait_for(lambda: len(miner.log.subscribers) == 2)
    miner.log.write_line("who hears this")
    assert b"who hears this" in receive(new)
    assert hears_nothing(old)
    new.close()
    wait_for(lambda: len(miner.log.subscribers) == 1)
    miner.log.write_line("and this")
    assert hears_nothing(old)
    old.ping()  # the socket is still open
    assert old.recv_data(control_frame=True)[0] == websocket.ABNF.OPCODE_PONG


def test_ten_clients_hear_everything(start: Start, connect: Connect) -> None:
    miner = start("2.12")
    socks = [connect(miner) for _ in range(10)]
    wait_for(lambda: len(miner.log.subscribers) == 10)
    miner.log.write_line("all of you")
    assert all(b"all of you" in receive(sock) for sock in socks)


def test_the_eleventh_gets_429(start: Start, connect: Connect) -> None:
    """≥ 2.15 says so before the handshake; older firmware writes it into the open websocket."""
    new, old = start("2.15"), start("2.12")
    for miner in (new, old):
        for _ in range(10):
            connect(miner)
        wait_for(lambda miner=miner: len(miner.websockets) == 10)  # type: ignore[misc]
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        connect(new)
    assert refused.value.status_code == 429
    late = connect(old)
    assert late.sock.recv(100).startswith(b"HTTP/1.1 429 Too Many Requests\r\n")


def test_live_shares_the_ten(start: Start, connect: Connect) -> None:
    miner = start("2.15")
    for _ in range(10):
        connect(miner, "/api/ws/live")
    with pytest.raises(websocket.WebSocketBadStatusException):
        connect(miner)


def test_a_bad_origin(start: Start, connect: Connect) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        connect(start("2.15"), suppress_origin=False, origin="http://evil.example")
    assert refused.value.status_code == 401
    sock = connect(start("2.12"), suppress_origin=False, origin="http://evil.example")
    assert sock.sock.recv(100).startswith(b"HTTP/1.1 401 Unauthorized\r\n")


def test_pings_and_close_are_answered(start: Start, connect: Connect) -> None:
    miner = start("2.12")
    sock = connect(miner)
    sock.ping("are you there")
    assert sock.recv_data(control_frame=True) == (websocket.ABNF.OPCODE_PONG, b"are you there")
    sock.send("ignored")
    sock.send_close()
    assert sock.recv_data(control_frame=True)[0] == websocket.ABNF.OPCODE_CLOSE
    wait_for(lambda: miner.connections_open == 0 and not miner.log.subscribers)


def test_a_restart_closes_without_a_frame_and_the_clock_starts_again(start: Start, connect: Connect) -> None:
    miner = start("2.15")
    sock = connect(miner)
    wait_for(lambda: miner.log.subscribers)
    miner.restart()
    with pytest.raises((ConnectionResetError, websocket.WebSocketConnectionClosedException)):
        sock.recv()
    wait_for(lambda: miner.powered)
    again = connect(miner)
    wait_for(lambda: miner.log.subscribers)
    miner.log.write_line("back")
    found = re.search(rb"\((\d+)\)", receive(again))
    assert found and int(found[1]) < 3000


def test_live_sends_everything_then_changes(start: Start, connect: Connect, clock: FakeClock) -> None:
    miner = start("2.15", clock=clock)
    sock = connect(miner, "/api/ws/live")
    first = orjson.loads(receive(sock))
    assert first["event"] == "update"
    assert set(miner.read_info()) - set(first["data"]) == {"fullHostname", "mdnsHostname"}
    clock.tick(5)
    second = orjson.loads(receive(sock))["data"]
    assert second["uptimeSeconds"] == first["data"]["uptimeSeconds"] + 5
    assert not {"version", "pools", "frequency"} & set(second)
    assert set(second["hashrateMonitor"]) == {"asics"}


def test_live_is_unknown_before_2_14(start: Start, http: requests.Session) -> None:
    assert http.get(url(start("2.12"), "/api/ws/live"), allow_redirects=False).status_code == 302


def test_a_client_that_does_not_read_blocks_the_whole_device(
    start: Start, connect: Connect, http: requests.Session
) -> None:
    miner = start("2.15")
    sock = connect(miner, sockopt=[(6, 1, 1), (1, 8, 4096)])
    wait_for(lambda: miner.log.subscribers)
    for _ in range(600):
        miner.log.write_bytes(b"x" * 4000 + b"\n")
    gevent.sleep(0.2)
    with pytest.raises(requests.ReadTimeout):
        http.get(url(miner), timeout=0.3)
    sock.shutdown()
    http.close()
    assert http.get(url(miner), timeout=3).status_code == 200


def test_logs_download(start: Start, http: requests.Session) -> None:
    miner = start("2.15", log_rate=50.0, hostname="rig")
    reply = http.get(url(miner, "/api/system/logs"))
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, "text/plain")
    assert reply.headers["Transfer-Encoding"] == "chunked"
    assert "attachment" in reply.headers["Content-Disposition"]
    assert reply.content.count(b"\n") > 50
    miner.restart()
    wait_for(lambda: miner.boots == 1)
    after = http.get(url(miner, "/api/system/logs")).content
    assert after.startswith(reply.content)
    assert b"\n--- SYSTEM RESTART ---\n" in after
    assert b'"mining.authorize", "params": ["bc1qexample' in after and b'.rig", "x"]' in after
    assert http.get(url(start("2.12"), "/api/system/logs"), allow_redirects=False).status_code == 302
