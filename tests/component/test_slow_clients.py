"""Clients that do not read: their queue is bounded, their connection ends, and other clients are not affected."""

import socket

import gevent
import pytest
from fakes import wait_until
from log_helpers import FAST_POLICY, SocketClient, parse_numbers, wait_for_readers
from websocket import create_connection

from app.socketio import backpressure


@pytest.fixture
def testbed(make_fleet, make_service, start_server):
    fleet = make_fleet("2.12", "2.12")
    service = make_service(fleet, log_policy=FAST_POLICY)
    service.imprint_miners(*fleet)
    service.wait_for_status("online", *fleet)
    return service, fleet, start_server(service)


@pytest.fixture
def server(testbed):
    service, _, _ = testbed
    return service.app.extensions["socketio"].server


class StalledClient:
    """A Socket.IO connection with a small window that sends `events` and then stops reading."""

    def __init__(self, url, *events):
        host, port = url.removeprefix("http://").split(":")
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect((host, int(port)))
        address = f"ws://{host}:{port}/socket/io/?EIO=4&transport=websocket"
        self.websocket = create_connection(address, socket=sock, suppress_origin=True, timeout=5)
        assert self.websocket.recv().startswith("0{")
        self.websocket.send("40")
        assert self.websocket.recv().startswith("40{")
        for event in events:
            self.websocket.send(event)

    def close(self):
        self.websocket.shutdown()


def list_sockets(server):
    return list(server.eio.sockets.values())


def test_each_client_has_bounded_queue(testbed, server):
    """Fails if a new engineio version takes its queue or WebSocket class from elsewhere."""
    stalled = StalledClient(testbed[2])
    (opened,) = list_sockets(server)
    assert isinstance(opened.queue, backpressure.BoundedQueue)
    assert issubclass(server.eio._async["websocket"], backpressure.DeadlineWebSocket)
    stalled.close()


def test_stalled_client_loses_events_and_connection_without_delaying_others(testbed, server):
    service, _, url = testbed
    stalled, listener = StalledClient(url), SocketClient(url)
    wait_until(lambda: len(list_sockets(server)) == 2)
    depths = []
    for number in range(3000):
        server.emit("test", {"number": number, "padding": "x" * 5000})
        if number % 50 == 0:
            depths.append(max(opened.queue.qsize() for opened in list_sockets(server)))
            wait_until(lambda number=number: len(listener.list_payloads("test")) >= number)
    assert max(depths) > 500
    assert max(depths) <= backpressure.MAX_QUEUED_PACKETS
    wait_until(lambda: len(listener.list_payloads("test")) == 3000)
    assert [each["number"] for each in listener.list_payloads("test")] == list(range(3000))
    assert not listener.list_payloads("events_lost")
    assert service.scrape_metrics().get_value("pluto_socket_events_dropped_total") > 0  # until its send deadline
    wait_until(lambda: len(list_sockets(server)) == 1, backpressure.SEND_TIMEOUT_SECONDS + 3)
    wait_until(lambda: service.scrape_metrics().get_value("pluto_socket_clients") == 1)
    polls = service.count_observations(service.list_devices()[0]["mac"])
    gevent.sleep(2)
    assert service.count_observations(service.list_devices()[0]["mac"]) - polls >= 3
    listener.io.disconnect()
    stalled.close()


def test_slow_client_receives_count_of_lost_events(testbed, server):
    service, _, url = testbed
    listener = SocketClient(url)
    (opened,) = list_sockets(server)
    for number in range(backpressure.MAX_QUEUED_PACKETS + 200):
        server.emit("test", number)
    assert opened.queue.qsize() == backpressure.MAX_QUEUED_PACKETS
    wait_until(lambda: len(listener.list_payloads("test")) == backpressure.MAX_QUEUED_PACKETS)
    server.emit("test", "after")
    wait_until(lambda: "after" in listener.list_payloads("test"))
    assert listener.list_payloads("events_lost") == [{"test": 200}]
    assert [name for name, _ in listener.events if name in ("test", "events_lost")][-2:] == ["events_lost", "test"]
    listener.io.disconnect()


def test_stalled_log_client_has_bounded_queue_and_others_receive_all_lines(testbed, server):
    service, (miner, _), url = testbed
    stalled, listener = StalledClient(url, f'42["subscribeLogs",{{"mac":"{miner.mac}"}}]'), SocketClient(url)
    listener.subscribe(miner.mac)
    wait_for_readers(miner, 1)
    depths = []
    for number in range(2400):
        miner.log.write_line(f"line {number}")
        if number % 20 == 0:
            depths.append(max(opened.queue.qsize() for opened in list_sockets(server)))
            gevent.sleep(0.03)
    listener.wait_for_text("line 2399")
    assert parse_numbers(listener.list_texts()) == list(range(2400))
    assert max(depths) <= 300
    stalled.close()
    listener.io.disconnect()


def test_slow_log_client_receives_marker_in_place_of_lost_lines(testbed, server):
    service, (miner, _), url = testbed
    stalled = StalledClient(url, f'42["subscribeLogs",{{"mac":"{miner.mac}"}}]')
    wait_for_readers(miner, 1)
    for number in range(3000):
        miner.log.write_line(f"line {number} " + "x" * 400)
        if number % 20 == 0:
            gevent.sleep(0.01)
    received = []
    stalled.websocket.settimeout(0.5)
    while '"line 2999 ' not in "".join(received[-1:]):
        message = stalled.websocket.recv()
        if message.startswith('42["log_line"'):
            received.append(message)
        elif message == "2":
            stalled.websocket.send("3")
    import orjson

    lines = [orjson.loads(message[2:])[1] for message in received]
    seqs = [line["seq"] for line in lines]
    assert seqs == sorted(set(seqs))
    lost = sum(line.get("lost", 0) for line in lines)
    assert lost > 500
    assert lost + len([line for line in lines if "lost" not in line]) == 3000
    stalled.close()


def test_unread_long_poll_has_bounded_queue(testbed, server):
    service, _, url = testbed
    import requests

    sid = requests.get(f"{url}/socket/io/?EIO=4&transport=polling", timeout=5).text.split('"')[3]
    requests.post(f"{url}/socket/io/?EIO=4&transport=polling&sid={sid}", data="40", timeout=5)
    for number in range(3000):
        server.emit("test", number)
    assert max(opened.queue.qsize() for opened in list_sockets(server)) <= backpressure.MAX_QUEUED_PACKETS + 10
    assert service.scrape_metrics().get_value("pluto_socket_events_dropped_total") >= 1900
