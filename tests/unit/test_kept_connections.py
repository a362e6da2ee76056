"""Keep-alive connections to newer miners: reused, but never trusted."""

from ipaddress import IPv4Network

import gevent
import pytest
from fakes import ScriptedServer, reset_connection, wait_until

from app.errors import DeviceDropped
from app.miners.address import Address, AddressRule
from app.miners.http_connection import MinerConnection

ALLOW_LOOPBACK = AddressRule([IPv4Network("127.0.0.0/8")])
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def connect_to(peer):
    return MinerConnection(Address(peer.host, peer.port), ALLOW_LOOPBACK.check_address, 1.0)


def close_connection(opened):
    opened.close()


def read_forever(opened):
    while opened.recv(65536):
        pass


def make_responder(count, then=None, reply=OK):
    def respond(opened):
        for _ in range(count):
            if not opened.recv(65536):
                return
            opened.sendall(reply)
        if then:
            then(opened)
        else:
            read_forever(opened)

    return respond


def test_connection_is_reused():
    with ScriptedServer(make_responder(9)) as peer:
        connection = connect_to(peer)
        for _ in range(5):
            assert connection.send_request("GET", "/", deadline=2, keep_open=True).body == b"{}"
        assert peer.accepted == 1
        connection.close()


@pytest.mark.parametrize("keep", [True, False])
def test_connection_is_closed_if_either_side_requires_it(keep):
    reply = OK if not keep else OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n")
    with ScriptedServer(make_responder(9, reply=reply)) as peer:
        connection = connect_to(peer)
        for _ in range(3):
            connection.send_request("GET", "/", deadline=2, keep_open=keep)
        assert peer.accepted == 3


@pytest.mark.parametrize("end", [close_connection, reset_connection])
def test_get_on_closed_connection_is_retried_once(end):
    with ScriptedServer(make_responder(1, end), make_responder(1)) as peer:
        connection = connect_to(peer)
        connection.send_request("GET", "/", deadline=2, keep_open=True)
        gevent.sleep(0.05)
        assert connection.send_request("GET", "/", deadline=2, keep_open=True).body == b"{}"
        assert peer.accepted == 2
        connection.close()


def test_get_is_not_retried_twice():
    with ScriptedServer(make_responder(1, close_connection), close_connection) as peer:
        connection = connect_to(peer)
        connection.send_request("GET", "/", deadline=2, keep_open=True)
        gevent.sleep(0.05)
        with pytest.raises(DeviceDropped):
            connection.send_request("GET", "/", deadline=2, keep_open=True)
        gevent.sleep(0.05)
        assert peer.accepted == 2


@pytest.mark.parametrize("end", [close_connection, reset_connection])
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
def test_write_on_closed_connection_is_not_retried(method, end):
    """The write may have been carried out."""
    with ScriptedServer(make_responder(1, end), make_responder(1)) as peer:
        connection = connect_to(peer)
        connection.send_request("GET", "/", deadline=2, keep_open=True)
        gevent.sleep(0.05)
        with pytest.raises(DeviceDropped):
            connection.send_request(method, "/", b"{}", deadline=2, keep_open=True)
        assert peer.accepted == 1


def test_get_with_truncated_response_is_not_retried():
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}"

    def respond(opened):
        opened.recv(65536)
        opened.sendall(OK)
        opened.recv(65536)
        opened.sendall(cut)
        opened.close()

    with ScriptedServer(respond) as peer:
        connection = connect_to(peer)
        connection.send_request("GET", "/", deadline=2, keep_open=True)
        with pytest.raises(DeviceDropped):
            connection.send_request("GET", "/", deadline=2, keep_open=True)
        assert peer.accepted == 1


@pytest.mark.parametrize("responses", [0, 1])
def test_close_by_other_greenlet_wakes_reader_without_retry(responses):
    with ScriptedServer(make_responder(responses)) as peer:
        connection = connect_to(peer)
        for _ in range(responses):
            connection.send_request("GET", "/", deadline=2, keep_open=True)
        reading = gevent.spawn(connection.send_request, "GET", "/", deadline=5, keep_open=True)
        wait_until(lambda: peer.accepted == 1)
        gevent.sleep(0.05)
        connection.close()
        reading.join(1)
        assert isinstance(reading.exception, DeviceDropped)
        gevent.sleep(0.05)
        assert peer.accepted == 1
