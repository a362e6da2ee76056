"""Connections to newer miners are kept: used again, and never trusted."""

from ipaddress import IPv4Network

import gevent
import pytest
from fakes import Peer, eventually, reset

from app.errors import DeviceDropped
from app.miners.address import Address, AddressRule
from app.miners.http import Connection

EVERYWHERE = AddressRule([IPv4Network("127.0.0.0/8")])
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def to(peer):
    return Connection(Address(peer.host, peer.port), EVERYWHERE.check, 1.0)


def closed(opened):
    opened.close()


def forever(opened):
    while opened.recv(65536):
        pass


def answering(count, then=None, reply=OK):
    def script(opened):
        for _ in range(count):
            if not opened.recv(65536):
                return
            opened.sendall(reply)
        if then:
            then(opened)
        else:
            forever(opened)

    return script


def test_it_is_used_again():
    with Peer(answering(9)) as peer:
        connection = to(peer)
        for _ in range(5):
            assert connection.request("GET", "/", deadline=2, keep=True).body == b"{}"
        assert peer.accepted == 1
        connection.close()


@pytest.mark.parametrize("keep", [True, False])
def test_it_is_closed_when_either_side_wants_it_so(keep):
    reply = OK if not keep else OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n")
    with Peer(answering(9, reply=reply)) as peer:
        connection = to(peer)
        for _ in range(3):
            connection.request("GET", "/", deadline=2, keep=keep)
        assert peer.accepted == 3


@pytest.mark.parametrize("end", [closed, reset])
def test_a_get_over_a_dead_one_is_tried_once_more(end):
    with Peer(answering(1, end), answering(1)) as peer:
        connection = to(peer)
        connection.request("GET", "/", deadline=2, keep=True)
        gevent.sleep(0.05)
        assert connection.request("GET", "/", deadline=2, keep=True).body == b"{}"
        assert peer.accepted == 2
        connection.close()


def test_a_get_is_not_tried_a_third_time():
    with Peer(answering(1, closed), closed) as peer:
        connection = to(peer)
        connection.request("GET", "/", deadline=2, keep=True)
        gevent.sleep(0.05)
        with pytest.raises(DeviceDropped):
            connection.request("GET", "/", deadline=2, keep=True)
        gevent.sleep(0.05)
        assert peer.accepted == 2


@pytest.mark.parametrize("end", [closed, reset])
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
def test_a_write_over_a_dead_one_never_is(method, end):
    """It may have been carried out."""
    with Peer(answering(1, end), answering(1)) as peer:
        connection = to(peer)
        connection.request("GET", "/", deadline=2, keep=True)
        gevent.sleep(0.05)
        with pytest.raises(DeviceDropped):
            connection.request(method, "/", b"{}", deadline=2, keep=True)
        assert peer.accepted == 1


def test_an_answer_that_breaks_off_is_not_asked_for_again():
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}"

    def script(opened):
        opened.recv(65536)
        opened.sendall(OK)
        opened.recv(65536)
        opened.sendall(cut)
        opened.close()

    with Peer(script) as peer:
        connection = to(peer)
        connection.request("GET", "/", deadline=2, keep=True)
        with pytest.raises(DeviceDropped):
            connection.request("GET", "/", deadline=2, keep=True)
        assert peer.accepted == 1


@pytest.mark.parametrize("answered", [0, 1])
def test_closing_it_from_elsewhere_wakes_whoever_reads_and_nothing_is_asked_again(answered):
    with Peer(answering(answered)) as peer:
        connection = to(peer)
        for _ in range(answered):
            connection.request("GET", "/", deadline=2, keep=True)
        reading = gevent.spawn(connection.request, "GET", "/", deadline=5, keep=True)
        eventually(lambda: peer.accepted == 1)
        gevent.sleep(0.05)
        connection.close()
        reading.join(1)
        assert isinstance(reading.exception, DeviceDropped)
        gevent.sleep(0.05)
        assert peer.accepted == 1
