"""The end of the service as its callers see it: everybody is answered, every connection is closed in order."""

from __future__ import annotations

import struct
import time

import gevent
import pytest
import requests
import socketio
from fakes import eventually
from testbed import Service
from websocket import ABNF, create_connection

from app.draining import PATIENCE_SECONDS
from simulator import Fleet

GOING_AWAY = 1001


@pytest.fixture
def at_home(live_testbed, serve) -> tuple[Service, Fleet, str]:
    service, fleet = live_testbed("2.12", "2.12")
    return service, fleet, serve(service)


def test_a_slow_write_is_finished_and_one_without_end_is_503_and_in_doubt(at_home, make_service):
    service, fleet, url = at_home
    fleet[0].set_fault("slow", seconds=0.3, method="PATCH", path="/api/system")
    fleet[1].set_fault("hang", method="PATCH", path="/api/system")
    body = {"info": {"autofanspeed": 0, "manualFanSpeed": 77}}
    asked = [gevent.spawn(requests.patch, f"{url}/devices/{miner.mac}/system", json=body) for miner in fleet]
    eventually(lambda: all(miner.requests["PATCH", "/api/system"] for miner in fleet))
    service.stop()
    answers = [each.get(timeout=5) for each in asked]
    assert [answer.status_code for answer in answers] == [200, 503]
    assert answers[1].json()["error"]
    assert [miner.requests["PATCH", "/api/system"] for miner in fleet] == [1, 1]
    again = make_service(fleet)
    [entry] = again.ok(again.client.get(f"/devices/{fleet[1].mac}/journal"))
    assert entry["outcome"] == "in_doubt"


def test_websockets_are_told_that_it_goes_away_and_come_back(at_home):
    """Not that they are to stay away, as a Socket.IO disconnect would: clients reconnect after 1001 by themselves."""
    service, _, url = at_home
    websocket = create_connection(f"{url.replace('http', 'ws')}/socket/io/?EIO=4&transport=websocket", timeout=5)
    assert websocket.recv().startswith("0{")
    service.stop()
    code, payload = websocket.recv_data()
    while code != ABNF.OPCODE_CLOSE:
        assert payload[:1] != b"1"  # Engine.IO's own goodbye
        code, payload = websocket.recv_data()
    assert struct.unpack("!H", payload[:2]) == (GOING_AWAY,)
    websocket.shutdown()


def test_clients_see_the_end_of_the_transport(at_home):
    service, _, url = at_home
    client, reasons = socketio.Client(reconnection=False), []
    client.on("disconnect", reasons.append)
    client.connect(url, socketio_path="/socket/io", transports=["websocket"])
    service.stop()
    eventually(lambda: reasons)
    assert reasons == [client.reason.TRANSPORT_ERROR]
    client.disconnect()


def test_nothing_idle_delays_the_end(at_home):
    """A client that polls for events, one that follows a log, one that keeps its connection: none is waited for."""
    service, fleet, url = at_home
    events = f"{url}/socket/io/?EIO=4&transport=polling"
    sid = requests.get(events, timeout=5).text.split('"sid":"')[1].split('"')[0]
    looking = gevent.spawn(requests.get, f"{events}&sid={sid}", timeout=30)
    following = requests.get(f"{url}/devices/{fleet[0].mac}/logs/download?follow=1", stream=True, timeout=10)
    kept = requests.Session()
    assert kept.get(f"{url}/healthz").ok
    began = time.monotonic()
    service.stop()
    assert time.monotonic() - began < PATIENCE_SECONDS
    assert not looking.ready()
    assert following.raw.read() is not None
    looking.kill()
    following.close()
    kept.close()
