"""Faults on the wire: each is felt while it is on, and gone when it is off."""

from __future__ import annotations

import gzip
import zlib

import pytest
import requests
from gevent import socket
from sim_helpers import Start, endpoint, url, wait_for

from simulator import FAULTS


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_fault_can_be_switched_off(start: Start, http: requests.Session, name: str) -> None:
    miner = start("2.15")
    miner.fault = name
    assert miner.fault == name
    miner.fault = None
    assert http.get(url(miner), timeout=2).json()["macAddr"] == miner.mac.upper()


def test_unknown_fault(start: Start) -> None:
    miner = start("2.12")
    miner.fault = "html"
    with pytest.raises(ValueError, match="unknown fault 'explode'"):
        miner.fault = "explode"
    assert miner.fault == "html"


def test_refuse(start: Start, http: requests.Session) -> None:
    miner = start("2.12")
    http.get(url(miner))
    miner.fault = "refuse"
    assert miner.connections_open == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(endpoint(miner))
    miner.restart()
    wait_for(lambda: miner.boots == 1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(endpoint(miner))


def test_hang_ends_with_the_fault(start: Start, http: requests.Session) -> None:
    miner = start("2.12")
    miner.fault = "hang"
    with pytest.raises(requests.ReadTimeout):
        http.get(url(miner), timeout=0.1)
    http.close()
    wait_for(lambda: miner.connections_open == 0)
    sock = socket.create_connection(endpoint(miner))
    sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_for(lambda: miner.requests["GET", "/"] == 1)
    miner.fault = None
    with pytest.raises(ConnectionResetError):
        sock.recv(1)


def test_drip(start: Start) -> None:
    miner = start("2.12")
    miner.set_fault("drip", seconds=0.01)
    with socket.create_connection(endpoint(miner)) as sock:
        sock.sendall(b"GET /api/system/info HTTP/1.1\r\nHost: x\r\n\r\n")
        assert [sock.recv(100) for _ in range(4)] == [b"H", b"T", b"T", b"P"]


@pytest.mark.parametrize("name", ["reset", "short"])
def test_the_body_breaks_off(start: Start, http: requests.Session, name: str) -> None:
    miner = start("2.12")
    miner.fault = name
    reply = http.get(url(miner), stream=True)
    assert reply.status_code == 200
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        reply.content  # noqa: B018 (reading it is the act)


def test_huge_is_endless(start: Start, http: requests.Session) -> None:
    miner = start("2.12")
    miner.set_fault("huge", rate=200_000_000)
    read = 0
    with http.get(url(miner), stream=True) as reply:
        for chunk in reply.iter_content(65536):
            read += len(chunk)
            if read > 2_000_000:
                break
    assert read > 2_000_000
    wait_for(lambda: miner.connections_open == 0)


def test_gzip_bomb(start: Start, http: requests.Session) -> None:
    miner = start("2.12")
    miner.fault = "gzip_bomb"
    reply = http.get(url(miner), stream=True)
    assert reply.headers["Content-Encoding"] == "gzip"
    packed = reply.raw.read(decode_content=False)
    assert len(packed) < 200_000
    inflater = zlib.decompressobj(wbits=31)
    assert len(inflater.decompress(packed, 10_000_000)) == 10_000_000
    assert packed[:2] == gzip.compress(b"")[:2]


SAID = [
    ("html", 200, "text/html", b"<!DOCTYPE html>"),
    ("garbage", 200, "application/json", b"\x00\x01\x02"),
    ("status_401", 401, "text/html", b"Unauthorized"),
    ("status_401_login", 401, "application/json", b'{"authRequired":1}'),
    ("status_500", 500, "text/html", b"Internal Server Error"),
    ("redirect", 302, "text/html", b"Redirect"),
]


@pytest.mark.parametrize(("name", "status", "kind", "start_of_body"), SAID)
def test_replies(start: Start, http: requests.Session, name: str, status: int, kind: str, start_of_body: bytes) -> None:
    miner = start("2.12")
    miner.fault = name
    reply = http.get(url(miner), allow_redirects=False)
    assert (reply.status_code, reply.headers["Content-Type"]) == (status, kind)
    assert reply.content.startswith(start_of_body)
    assert ("WWW-Authenticate" in reply.headers) is (name == "status_401_login")


def test_redirect_goes_where_it_is_told(start: Start, http: requests.Session) -> None:
    miner, other = start("2.12"), start("2.12")
    miner.set_fault("redirect", location=url(other, "/stolen"))
    http.get(url(miner), allow_redirects=True)
    assert other.requests["GET", "/stolen"] == 1


def test_not_http(start: Start) -> None:
    miner = start("2.12")
    miner.fault = "not_http"
    with socket.create_connection(endpoint(miner)) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(4) == b"\x00\x01\x02\x03"


def test_slow(start: Start, http: requests.Session) -> None:
    miner = start("2.12")
    miner.set_fault("slow", seconds=0.2)
    assert http.get(url(miner)).elapsed.total_seconds() >= 0.2


def test_a_fault_for_one_method_only(start: Start, http: requests.Session) -> None:
    miner = start("2.12")
    miner.set_fault("status_500", method="PATCH", path="/api/system")
    assert http.get(url(miner)).status_code == 200
    assert http.patch(url(miner, "/api/system"), json={"frequency": 600}).status_code == 500
    miner.settings.apply_due_writes(miner.now() + 10)
    assert miner.stored["frequency"] == 525


def test_null_and_wrong_types(start: Start, http: requests.Session) -> None:
    miner = start("2.12")
    miner.fault = "null"
    nulls = http.get(url(miner)).json()
    assert nulls["power"] is nulls["uptimeSeconds"] is nulls["frequency"] is None
    assert nulls["hostname"] == "bitaxe"
    miner.fault = "wrong_types"
    wrong = http.get(url(miner)).json()
    kinds = {type(value) for key, value in wrong.items() if isinstance(miner.read_info()[key], int | float)}
    assert {str, bool, dict, list, int, float} <= kinds
    assert 1e308 in wrong.values() and -5 in wrong.values()
    assert miner.read_info()["power"] > 10


def test_mac_faults(start: Start, http: requests.Session) -> None:
    miner = start("2.12")
    miner.set_fault("other_mac", mac="02:00:5E:AA:BB:CC")
    assert http.get(url(miner)).json()["macAddr"] == "02:00:5E:AA:BB:CC"
    assert miner.read_info()["macAddr"] == miner.mac.upper()
    miner.fault = "no_mac"
    assert "macAddr" not in http.get(url(miner)).json()
