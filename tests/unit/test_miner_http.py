"""One HTTP exchange with a scripted peer."""

import socket
import time
from ipaddress import IPv4Network

import gevent
import pytest
from fakes import ScriptedServer, assert_no_leaks, find_free_port, reset_connection, wait_until

from app.clock import Clock
from app.errors import (
    DeviceBadPayload,
    DeviceDropped,
    DeviceError,
    DeviceForbidden,
    DeviceStatus,
    DeviceTimeout,
    DeviceTooLarge,
    DeviceUnreachable,
)
from app.miners.address import Address, AddressRule
from app.miners.device_client import Miner
from app.miners.http_connection import MAX_BODY, MinerConnection

ANYWHERE = AddressRule([IPv4Network("127.0.0.0/8")])
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def connect_to(peer):
    return MinerConnection(Address(peer.host, peer.port), ANYWHERE.check_address, 1.0)


def send_request(peer, *, deadline=3.0, keep_open=False, method="GET", body=None):
    return connect_to(peer).send_request(method, "/api/system/info", body, deadline=deadline, keep_open=keep_open)


def make_script(*parts, then=None, pause=0.0):
    """Return a script that reads one request and sends these parts."""

    def script(opened):
        opened.recv(65536)
        for part in parts:
            opened.sendall(part)
            gevent.sleep(pause)
        if then:
            then(opened)

    return script


@pytest.mark.parametrize(
    ("parts", "status", "body"),
    [
        ([OK], 200, b"{}"),
        ([b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 4\r\n\r\n{", b"}  "], 200, b"{}  "),
        ([CHUNKED, b"1\r\n{\r\n", b"1\r\n}\r\n0\r\n\r\n"], 200, b"{}"),
        ([CHUNKED + b"2;x=y\r\n{}\r\n0\r\nTrailer: 1\r\n\r\n"], 200, b"{}"),
        ([CHUNKED + b"0\r\n\r\n"], 200, b""),
        ([b"HTTP/1.1 200 OK\r\n\r\n", b"{}"], 200, b"{}"),
        ([b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n{}"], 200, b"{}"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", OK], 200, b"{}"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n" * 5 + OK], 200, b"{}"),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], 204, b""),
        ([b"HTTP/1.1 500 \r\nContent-Length: 1\r\n\r\nx"], 500, b"x"),
        ([b"HTTP/1.1 302 Temporary Redirect\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"], 302, b""),
    ],
)
def test_response_in_any_framing_is_read(parts, status, body):
    with ScriptedServer(make_script(*parts, pause=0.01)) as peer:
        reply = send_request(peer)
    assert (reply.status, reply.body) == (status, body)


def close_connection(opened):
    opened.close()


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (close_connection, DeviceDropped),
        (reset_connection, DeviceDropped),
        (make_script(then=close_connection), DeviceDropped),
        (make_script(then=reset_connection), DeviceDropped),
        (make_script(b"HTTP/1.1 2", then=close_connection), DeviceDropped),
        (make_script(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}", then=close_connection), DeviceDropped),
        (make_script(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}", then=reset_connection), DeviceDropped),
        (make_script(CHUNKED + b"5\r\n{", then=close_connection), DeviceDropped),
        (make_script(CHUNKED + b"zz\r\n", then=close_connection), DeviceBadPayload),
        (make_script(bytes(range(256)) * 4, then=close_connection), DeviceBadPayload),
        (make_script(b"SSH-2.0-OpenSSH_9.6\r\n", then=close_connection), DeviceBadPayload),
        (make_script(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"), DeviceBadPayload),
        (make_script(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"), DeviceBadPayload),
        (
            make_script(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x00"
            ),
            DeviceBadPayload,
        ),
        (make_script(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * (MAX_BODY + 1)), DeviceTooLarge),
        (make_script(CHUNKED + b"fffff\r\n" + b"x" * (MAX_BODY + 1)), DeviceTooLarge),
        (make_script(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(40_000))), DeviceTooLarge),
        (make_script(b"HTTP/1.1 200 OK\r\nX: " + b"y" * (MAX_BODY + 1)), (DeviceTooLarge, DeviceBadPayload)),
        (make_script(b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000), DeviceTooLarge),
    ],
)
def test_invalid_response_raises_device_error(script, error):
    with ScriptedServer(script) as peer, pytest.raises(error) as raised:
        send_request(peer)
    assert isinstance(raised.value, DeviceError)
    assert str(raised.value)


def read_forever(opened):
    while opened.recv(65536):
        pass


def send_slowly(opened):
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b" " * 5000:
        opened.sendall(bytes((byte,)))
        gevent.sleep(0.02)


@pytest.mark.parametrize(
    "script",
    [
        read_forever,
        send_slowly,
        make_script(b"HTTP/1.1 100 Continue\r\n\r\n", then=read_forever),
        make_script(CHUNKED + b"5\r\n{", then=read_forever),
    ],
)
def test_deadline_covers_whole_exchange(script):
    """Single bytes do not extend the deadline, and the socket is closed at once (defect 29: there was no deadline)."""
    with ScriptedServer(script) as peer:
        began = time.monotonic()
        with pytest.raises(DeviceTimeout, match="0.3 s"):
            send_request(peer, deadline=0.3)
        assert time.monotonic() - began < 1.5


def test_closed_port_is_unreachable():
    with pytest.raises(DeviceUnreachable, match="refused"):
        MinerConnection(Address("127.0.0.1", find_free_port()), ANYWHERE.check_address).send_request(
            "GET", "/", deadline=2, keep_open=False
        )


def test_full_backlog_is_unreachable_within_connect_timeout():
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        address = deaf.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        began = time.monotonic()
        with pytest.raises(DeviceUnreachable, match="timed out"):
            MinerConnection(Address(*address), ANYWHERE.check_address, 0.3).send_request(
                "GET", "/", deadline=3, keep_open=False
            )
        assert time.monotonic() - began < 2
        for filler in fillers:
            filler.close()


def test_address_rule_is_checked_at_every_connect():
    allowed = [True]

    def check_address(address):
        if not allowed:
            AddressRule([]).check_address(address)

    with ScriptedServer(make_script(OK)) as peer:
        connection = MinerConnection(Address(peer.host, peer.port), check_address)
        connection.send_request("GET", "/", deadline=2, keep_open=False)
        allowed.clear()
        with pytest.raises(DeviceForbidden, match="ALLOWED_DEVICE_NETWORKS"):
            connection.send_request("GET", "/", deadline=2, keep_open=False)
        assert peer.accepted == 1


def test_hundred_failures_leave_no_socket():
    scripts = [
        close_connection,
        reset_connection,
        make_script(b"x" * 300_000),
        make_script(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}", then=reset_connection),
        read_forever,
    ]
    with ScriptedServer(*(scripts[at % 5] for at in range(100))) as peer:
        connection = connect_to(peer)
        with assert_no_leaks():
            for _ in range(100):
                with pytest.raises(DeviceError):
                    connection.send_request("GET", "/", deadline=0.05, keep_open=True)
            wait_until(lambda: peer.accepted == 100)


def test_request_on_the_wire():
    heads = []

    def script(opened):
        heads.append(opened.recv(65536))
        opened.sendall(OK)

    with ScriptedServer(script) as peer:
        send_request(peer, keep_open=True)
        send_request(peer)
        send_request(peer, method="POST")
        send_request(peer, method="PATCH", body=b'{"a":1}')
    get, closing, post, patch = heads
    assert (
        get == b"GET /api/system/info HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept-Encoding: identity\r\n\r\n" % peer.port
    )
    assert b"Connection: close\r\n" in closing
    assert b"Content-Length: 0\r\n" in post
    assert patch.endswith(b"Content-Type: application/json\r\nContent-Length: 7\r\n\r\n" + b'{"a":1}')


WRITTEN_SECRET = 'hun"ter2\\2+very-long'


@pytest.mark.parametrize("status", ["400 Bad Request", "500 Internal Server Error"])
@pytest.mark.parametrize(
    "request_body", [{"stratumPassword": WRITTEN_SECRET}, {"pools": [{"stratumPassword": WRITTEN_SECRET}]}]
)
@pytest.mark.parametrize("padding", [0, 170, 190, 4080])
def test_error_quoted_by_miner_contains_no_written_secret(status, request_body, padding):
    def script(opened):
        sent = opened.recv(65536).partition(b"\r\n\r\n")[2]
        error_text = (
            b"." * padding + b" cannot use " + sent.replace(b"Password", b"P") + b" nor " + WRITTEN_SECRET.encode()
        )
        opened.sendall(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status.encode(), len(error_text), error_text))

    with ScriptedServer(script) as peer:
        miner = Miner(Address(peer.host, peer.port), ANYWHERE.check_address, Clock(), 1.0)
        with pytest.raises(DeviceStatus) as caught:
            miner.write_settings(request_body)
    assert not any(part in caught.value.body for part in ("hun", "ter2", "very", "long"))
    assert len(caught.value.body) <= 200
