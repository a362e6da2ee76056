"""SIGTERM at random moments.

Requests in progress are finished or answered 503, acknowledged changes are on disk, and the process exits with status 0
in less than five seconds.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import gevent
import orjson
import plyvel
import pytest
import requests
import socketio
from processes import ServiceProcess, SimulatorProcess, wait_for
from soak import scale_loops

REPETITIONS = scale_loops(3)
# NOT_ACCEPTED: the listener was closed before the service accepted the connection, so the system refuses or resets it.
# CUT_OFF: the connection was accepted and closed in order, without an answer to the request.
NOT_ACCEPTED, CUT_OFF = "not accepted", "cut off"


@dataclass
class Clients:
    """Clients that read and write while the service stops. `names`: the last acknowledged name, by MAC."""

    service: ServiceProcess
    macs: list[str]
    answers: Counter[int | str] = field(default_factory=Counter)
    names: dict[str, str] = field(default_factory=dict)

    def send_request(self, method: str, path: str, body: Any = None) -> int | str:
        try:
            answer = requests.request(method, self.service.url + path, json=body, timeout=10)
        except requests.ConnectionError as error:
            outcome = CUT_OFF if "RemoteDisconnected" in repr(error) else NOT_ACCEPTED
            self.answers[outcome] += 1
            return outcome
        assert isinstance(answer.json(), dict), answer.text
        self.answers[answer.status_code] += 1
        return answer.status_code

    def read_forever(self) -> None:
        while self.send_request("GET", "/devices/imprint") != NOT_ACCEPTED:
            pass

    def write_forever(self, mac: str) -> None:
        for number in range(10**6):
            status = self.send_request("PATCH", f"/devices/imprint/{mac}", {"device": {"name": f"name {number}"}})
            if status == 200:
                self.names[mac] = f"name {number}"
            if status == NOT_ACCEPTED:
                break


@contextmanager
def no_load(clients: Clients, miners: SimulatorProcess) -> Iterator[None]:
    """No load: an idle worker leaves its loop within a second of the signal, before or after the service stops."""
    yield


@contextmanager
def api_and_socket_load(clients: Clients, miners: SimulatorProcess) -> Iterator[None]:
    """Readers, writers, and one Socket.IO client on each transport."""
    socket_clients = [socketio.Client(reconnection=False), socketio.Client(reconnection=False)]
    for client, transport in zip(socket_clients, ("websocket", "polling"), strict=True):
        client.connect(clients.service.url, socketio_path="/socket/io", transports=[transport])
    greenlets = [gevent.spawn(clients.read_forever) for _ in range(2)]
    greenlets += [gevent.spawn(clients.write_forever, mac) for mac in clients.macs[:4]]
    yield
    gevent.joinall(greenlets, timeout=10, raise_error=True)
    assert clients.answers[200] > 0
    wait_for("the clients to be disconnected", lambda: not any(client.connected for client in socket_clients), 10)


@contextmanager
def hanging_polls(clients: Clients, miners: SimulatorProcess) -> Iterator[None]:
    """Half of the miners accept a request and do not answer it."""
    for mac in clients.macs[:6]:
        miners.send_command(mac, "fault", fault="hang")
    yield


@contextmanager
def slow_device_writes(clients: Clients, miners: SimulatorProcess) -> Iterator[None]:
    """One miner answers a write slowly, one never answers it, a third is restarted."""
    slow, hanging, restarted = clients.macs[:3]
    miners.send_command(slow, "fault", fault="slow", seconds=0.5, method="PATCH", path="/api/system")
    miners.send_command(hanging, "fault", fault="hang", method="PATCH", path="/api/system")
    body = {"info": {"manualFanSpeed": 77, "autofanspeed": 0}}
    greenlets = [gevent.spawn(clients.send_request, "PATCH", f"/devices/{mac}/system", body) for mac in (slow, hanging)]
    greenlets.append(gevent.spawn(clients.send_request, "POST", f"/devices/{restarted}/system/restart"))
    wait_for(
        "the writes to reach the miners", lambda: all(count_device_writes(miners, mac) for mac in (slow, hanging)), 10
    )
    yield
    gevent.joinall(greenlets, timeout=10, raise_error=True)
    statuses = [each.value for each in greenlets]
    assert statuses[1] == 503, statuses
    assert {statuses[0], statuses[2]} <= {200, 503}, statuses
    assert all(count_device_writes(miners, mac) == 1 for mac in (slow, hanging))


def count_device_writes(miners: SimulatorProcess, mac: str) -> int:
    return int(miners.get_miner(mac)["requests"].get("PATCH /api/system", 0))


@pytest.mark.parametrize("repetition", range(REPETITIONS))
@pytest.mark.parametrize("make_load", [no_load, api_and_socket_load, hanging_polls, slow_device_writes])
def test_sigterm_shuts_the_service_down_in_order_under_any_load(
    start_service: Callable[..., ServiceProcess],
    miners: SimulatorProcess,
    make_load: Callable[..., Any],
    repetition: int,
) -> None:
    service = start_service()
    macs = [miner["mac"] for miner in miners.list_miners() if miner["generation"] in ("2.10", "2.12", "2.15")]
    devices = [{"mac": miner["mac"], "ip": miner["address"]} for miner in miners.list_miners()]
    service.call_api("PUT", "/devices/imprint", {"devices": devices})
    service.wait_until_online()
    clients = Clients(service, macs)

    with make_load(clients, miners):
        gevent.sleep(random.uniform(0.0, 1.2))
        started = time.monotonic()
        assert service.stop() == 0
        duration = time.monotonic() - started
    assert duration < 5, service.read_output()
    assert set(clients.answers) <= {200, 503, NOT_ACCEPTED}, clients.answers
    assert "Traceback" not in service.read_output()
    assert service.read_output().count('"message":"stopped"') == 1
    stored = read_stored_records(service)
    assert set(stored) == {device["mac"] for device in devices}
    assert {mac: stored[mac].get("name") for mac in clients.names} == clients.names


def read_stored_records(service: ServiceProcess) -> dict[str, dict[str, Any]]:
    """Return the records by MAC from the closed database; fail if a block is damaged."""
    prefix = b"devices:imprinted:"
    database = plyvel.DB(str(service.data_dir / "pluto_core"), create_if_missing=False, paranoid_checks=True)
    try:
        rows = database.iterator(prefix=prefix, verify_checksums=True)
        return {key.removeprefix(prefix).decode(): orjson.loads(value) for key, value in rows}
    finally:
        database.close()
