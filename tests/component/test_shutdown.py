"""The shutdown as callers see it: each request is answered, and each connection is closed properly."""

from __future__ import annotations

import struct
import time

import gevent
import pytest
import requests
import socketio
from fakes import wait_until
from testbed import Service
from websocket import ABNF, create_connection

from app.draining import DRAIN_TIMEOUT_SECONDS
from simulator import Fleet

GOING_AWAY = 1001


@pytest.fixture
def served_miners(live_testbed, start_server) -> tuple[Service, Fleet, str]:
    service, fleet = live_testbed("2.12", "2.12")
    return service, fleet, start_server(service)


def test_shutdown_finishes_slow_write_and_answers_503_to_hanging_write(served_miners, make_service):
    service, fleet, url = served_miners
    fleet[0].set_fault("slow", seconds=0.3, method="PATCH", path="/api/system")
    fleet[1].set_fault("hang", method="PATCH", path="/api/system")
    body = {"info": {"autofanspeed": 0, "manualFanSpeed": 77}}
    requests_in_flight = [
        gevent.spawn(requests.patch, f"{url}/devices/{miner.mac}/system", json=body) for miner in fleet
    ]
    wait_until(lambda: all(miner.requests["PATCH", "/api/system"] for miner in fleet))
    service.stop()
    responses = [each.get(timeout=5) for each in requests_in_flight]
    assert [response.status_code for response in responses] == [200, 503]
    assert responses[1].json()["error"]
    assert [miner.requests["PATCH", "/api/system"] for miner in fleet] == [1, 1]
    again = make_service(fleet)
    [entry] = again.read_data(again.client.get(f"/devices/{fleet[1].mac}/journal"))
    assert entry["outcome"] == "in_doubt"


def test_shutdown_closes_websockets_with_going_away(served_miners):
    """Clients reconnect by themselves after close code 1001, but not after a Socket.IO disconnect."""
    service, _, url = served_miners
    websocket = create_connection(f"{url.replace('http', 'ws')}/socket/io/?EIO=4&transport=websocket", timeout=5)
    assert websocket.recv().startswith("0{")
    service.stop()
    code, payload = websocket.recv_data()
    while code != ABNF.OPCODE_CLOSE:
        assert payload[:1] != b"1"  # Engine.IO's close packet
        code, payload = websocket.recv_data()
    assert struct.unpack("!H", payload[:2]) == (GOING_AWAY,)
    websocket.shutdown()


def test_socketio_client_sees_transport_error_at_shutdown(served_miners):
    service, _, url = served_miners
    client, reasons = socketio.Client(reconnection=False), []
    client.on("disconnect", reasons.append)
    client.connect(url, socketio_path="/socket/io", transports=["websocket"])
    service.stop()
    wait_until(lambda: reasons)
    assert reasons == [client.reason.TRANSPORT_ERROR]
    client.disconnect()


def test_idle_connections_do_not_delay_shutdown(served_miners):
    """The shutdown waits neither for a long poll, nor for a follow download, nor for a keep-alive connection."""
    service, fleet, url = served_miners
    events = f"{url}/socket/io/?EIO=4&transport=polling"
    sid = requests.get(events, timeout=5).text.split('"sid":"')[1].split('"')[0]
    long_poll = gevent.spawn(requests.get, f"{events}&sid={sid}", timeout=30)
    follow_download = requests.get(f"{url}/devices/{fleet[0].mac}/logs/download?follow=1", stream=True, timeout=10)
    keep_alive_session = requests.Session()
    assert keep_alive_session.get(f"{url}/healthz").ok
    began = time.monotonic()
    service.stop()
    assert time.monotonic() - began < DRAIN_TIMEOUT_SECONDS
    assert not long_poll.ready()
    assert follow_download.raw.read() is not None
    long_poll.kill()
    follow_download.close()
    keep_alive_session.close()
