"""Tests of the faults: each changes answers while it is on, and ends when it is switched off."""

from __future__ import annotations

import gzip
import zlib

import pytest
import requests
from gevent import socket
from sim_helpers import StartMiner, make_url, parse_endpoint, wait_until

from simulator import FAULTS


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_fault_can_be_switched_off(start_miner: StartMiner, session: requests.Session, name: str) -> None:
    miner = start_miner("2.15")
    miner.fault = name
    assert miner.fault == name
    miner.fault = None
    assert session.get(make_url(miner), timeout=2).json()["macAddr"] == miner.mac.upper()


def test_unknown_fault_raises_and_keeps_active_fault(start_miner: StartMiner) -> None:
    miner = start_miner("2.12")
    miner.fault = "html"
    with pytest.raises(ValueError, match="unknown fault 'explode'"):
        miner.fault = "explode"
    assert miner.fault == "html"


def test_refuse_rejects_connections_after_restart_too(start_miner: StartMiner, session: requests.Session) -> None:
    miner = start_miner("2.12")
    session.get(make_url(miner))
    miner.fault = "refuse"
    assert miner.connections_open == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(parse_endpoint(miner))
    miner.restart()
    wait_until(lambda: miner.boots == 1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(parse_endpoint(miner))


def test_hang_resets_connection_when_fault_ends(start_miner: StartMiner, session: requests.Session) -> None:
    miner = start_miner("2.12")
    miner.fault = "hang"
    with pytest.raises(requests.ReadTimeout):
        session.get(make_url(miner), timeout=0.1)
    session.close()
    wait_until(lambda: miner.connections_open == 0)
    sock = socket.create_connection(parse_endpoint(miner))
    sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: miner.requests["GET", "/"] == 1)
    miner.fault = None
    with pytest.raises(ConnectionResetError):
        sock.recv(1)


def test_drip_sends_single_bytes(start_miner: StartMiner) -> None:
    miner = start_miner("2.12")
    miner.set_fault("drip", seconds=0.01)
    with socket.create_connection(parse_endpoint(miner)) as sock:
        sock.sendall(b"GET /api/system/info HTTP/1.1\r\nHost: x\r\n\r\n")
        assert [sock.recv(100) for _ in range(4)] == [b"H", b"T", b"T", b"P"]


@pytest.mark.parametrize("name", ["reset", "short"])
def test_reset_and_short_cut_off_body(start_miner: StartMiner, session: requests.Session, name: str) -> None:
    miner = start_miner("2.12")
    miner.fault = name
    reply = session.get(make_url(miner), stream=True)
    assert reply.status_code == 200
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        reply.content  # noqa: B018 (reading the body raises)


def test_huge_sends_endless_body(start_miner: StartMiner, session: requests.Session) -> None:
    miner = start_miner("2.12")
    miner.set_fault("huge", rate=200_000_000)
    read = 0
    with session.get(make_url(miner), stream=True) as reply:
        for chunk in reply.iter_content(65536):
            read += len(chunk)
            if read > 2_000_000:
                break
    assert read > 2_000_000
    wait_until(lambda: miner.connections_open == 0)


def test_gzip_bomb_expands_a_small_body(start_miner: StartMiner, session: requests.Session) -> None:
    miner = start_miner("2.12")
    miner.fault = "gzip_bomb"
    reply = session.get(make_url(miner), stream=True)
    assert reply.headers["Content-Encoding"] == "gzip"
    packed = reply.raw.read(decode_content=False)
    assert len(packed) < 200_000
    inflater = zlib.decompressobj(wbits=31)
    assert len(inflater.decompress(packed, 10_000_000)) == 10_000_000
    assert packed[:2] == gzip.compress(b"")[:2]


REPLIES = [
    ("html", 200, "text/html", b"<!DOCTYPE html>"),
    ("garbage", 200, "application/json", b"\x00\x01\x02"),
    ("status_401", 401, "text/html", b"Unauthorized"),
    ("status_401_login", 401, "application/json", b'{"authRequired":1}'),
    ("status_500", 500, "text/html", b"Internal Server Error"),
    ("redirect", 302, "text/html", b"Redirect"),
]


@pytest.mark.parametrize(("name", "status", "kind", "start_of_body"), REPLIES)
def test_fault_sends_its_reply(
    start_miner: StartMiner, session: requests.Session, name: str, status: int, kind: str, start_of_body: bytes
) -> None:
    miner = start_miner("2.12")
    miner.fault = name
    reply = session.get(make_url(miner), allow_redirects=False)
    assert (reply.status_code, reply.headers["Content-Type"]) == (status, kind)
    assert reply.content.startswith(start_of_body)
    assert ("WWW-Authenticate" in reply.headers) is (name == "status_401_login")


def test_redirect_points_to_location(start_miner: StartMiner, session: requests.Session) -> None:
    miner, other = start_miner("2.12"), start_miner("2.12")
    miner.set_fault("redirect", location=make_url(other, "/stolen"))
    session.get(make_url(miner), allow_redirects=True)
    assert other.requests["GET", "/stolen"] == 1


def test_not_http_sends_binary_bytes(start_miner: StartMiner) -> None:
    miner = start_miner("2.12")
    miner.fault = "not_http"
    with socket.create_connection(parse_endpoint(miner)) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(4) == b"\x00\x01\x02\x03"


def test_slow_delays_answer(start_miner: StartMiner, session: requests.Session) -> None:
    miner = start_miner("2.12")
    miner.set_fault("slow", seconds=0.2)
    assert session.get(make_url(miner)).elapsed.total_seconds() >= 0.2


def test_fault_can_apply_to_one_method_only(start_miner: StartMiner, session: requests.Session) -> None:
    miner = start_miner("2.12")
    miner.set_fault("status_500", method="PATCH", path="/api/system")
    assert session.get(make_url(miner)).status_code == 200
    assert session.patch(make_url(miner, "/api/system"), json={"frequency": 600}).status_code == 500
    miner.settings.apply_due_writes(miner.now() + 10)
    assert miner.stored["frequency"] == 525


def test_null_and_wrong_types_replace_values(start_miner: StartMiner, session: requests.Session) -> None:
    miner = start_miner("2.12")
    miner.fault = "null"
    nulls = session.get(make_url(miner)).json()
    assert nulls["power"] is nulls["uptimeSeconds"] is nulls["frequency"] is None
    assert nulls["hostname"] == "bitaxe"
    miner.fault = "wrong_types"
    wrong = session.get(make_url(miner)).json()
    kinds = {type(value) for key, value in wrong.items() if isinstance(miner.read_info()[key], int | float)}
    assert {str, bool, dict, list, int, float} <= kinds
    assert 1e308 in wrong.values() and -5 in wrong.values()
    assert miner.read_info()["power"] > 10


def test_mac_faults_replace_and_remove_mac(start_miner: StartMiner, session: requests.Session) -> None:
    miner = start_miner("2.12")
    miner.set_fault("other_mac", mac="02:00:5E:AA:BB:CC")
    assert session.get(make_url(miner)).json()["macAddr"] == "02:00:5E:AA:BB:CC"
    assert miner.read_info()["macAddr"] == miner.mac.upper()
    miner.fault = "no_mac"
    assert "macAddr" not in session.get(make_url(miner)).json()
