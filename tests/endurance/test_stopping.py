"""SIGTERM at any moment: what is under way is finished or answered 503, what was acknowledged is on disk, and the
process is gone with status 0 in less than five seconds."""

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
from soak import times

LOOPS = times(3)
# Nobody took the request: the listener was closed before the service accepted the connection. The system says so by
# refusing it, or by a reset; a request that was taken and left without an answer ends in order, which is CUT_OFF.
UNTAKEN, CUT_OFF = "untaken", "cut off"


@dataclass
class Callers:
    """Who asks and writes while it stops. `names`: the last name that was acknowledged, by MAC."""

    service: ServiceProcess
    macs: list[str]
    answers: Counter[int | str] = field(default_factory=Counter)
    names: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: Any = None) -> int | str:
        try:
            answer = requests.request(method, self.service.url + path, json=body, timeout=10)
        except requests.ConnectionError as error:
            end = CUT_OFF if "RemoteDisconnected" in repr(error) else UNTAKEN
            self.answers[end] += 1
            return end
        assert isinstance(answer.json(), dict), answer.text
        self.answers[answer.status_code] += 1
        return answer.status_code

    def read(self) -> None:
        while self.ask("GET", "/devices/imprint") != UNTAKEN:
            pass

    def write(self, mac: str) -> None:
        for number in range(10**6):
            status = self.ask("PATCH", f"/devices/imprint/{mac}", {"device": {"name": f"name {number}"}})
            if status == 200:
                self.names[mac] = f"name {number}"
            if status == UNTAKEN:
                break


@contextmanager
def idle(callers: Callers, miners: SimulatorProcess) -> Iterator[None]:
    """An idle worker leaves its loop within a second of the signal, sooner or later than we stop the service."""
    yield


@contextmanager
def load(callers: Callers, miners: SimulatorProcess) -> Iterator[None]:
    """Readers, writers, and a Socket.IO client on each transport."""
    clients = [socketio.Client(reconnection=False), socketio.Client(reconnection=False)]
    for client, transport in zip(clients, ("websocket", "polling"), strict=True):
        client.connect(callers.service.url, socketio_path="/socket/io", transports=[transport])
    busy = [gevent.spawn(callers.read) for _ in range(2)]
    busy += [gevent.spawn(callers.write, mac) for mac in callers.macs[:4]]
    yield
    gevent.joinall(busy, timeout=10, raise_error=True)
    assert callers.answers[200] > 0
    wait_for("the clients to see the end", lambda: not any(client.connected for client in clients), 10)


@contextmanager
def polls(callers: Callers, miners: SimulatorProcess) -> Iterator[None]:
    """Half of the miners take a request and say nothing."""
    for mac in callers.macs[:6]:
        miners.send_command(mac, "fault", fault="hang")
    yield


@contextmanager
def patches(callers: Callers, miners: SimulatorProcess) -> Iterator[None]:
    """One miner takes its time over a write, one never answers it, a third is restarted."""
    slow, mute, third = callers.macs[:3]
    miners.send_command(slow, "fault", fault="slow", seconds=0.5, method="PATCH", path="/api/system")
    miners.send_command(mute, "fault", fault="hang", method="PATCH", path="/api/system")
    body = {"info": {"manualFanSpeed": 77, "autofanspeed": 0}}
    asked = [gevent.spawn(callers.ask, "PATCH", f"/devices/{mac}/system", body) for mac in (slow, mute)]
    asked.append(gevent.spawn(callers.ask, "POST", f"/devices/{third}/system/restart"))
    wait_for("the writes to reach the miners", lambda: all(written(miners, mac) for mac in (slow, mute)), 10)
    yield
    gevent.joinall(asked, timeout=10, raise_error=True)
    statuses = [each.value for each in asked]
    assert statuses[1] == 503, statuses
    assert {statuses[0], statuses[2]} <= {200, 503}, statuses
    assert all(written(miners, mac) == 1 for mac in (slow, mute))


def written(miners: SimulatorProcess, mac: str) -> int:
    return int(miners.get_miner(mac)["requests"].get("PATCH /api/system", 0))


@pytest.mark.parametrize("loop", range(LOOPS))
@pytest.mark.parametrize("doing", [idle, load, polls, patches])
def test_sigterm_ends_it_in_order(
    start_service: Callable[..., ServiceProcess], miners: SimulatorProcess, doing: Callable[..., Any], loop: int
) -> None:
    service = start_service()
    macs = [miner["mac"] for miner in miners.list_miners() if miner["generation"] in ("2.10", "2.12", "2.15")]
    devices = [{"mac": miner["mac"], "ip": miner["address"]} for miner in miners.list_miners()]
    service.call_api("PUT", "/devices/imprint", {"devices": devices})
    service.wait_until_online()
    callers = Callers(service, macs)

    with doing(callers, miners):
        gevent.sleep(random.uniform(0.0, 1.2))
        began = time.monotonic()
        assert service.stop() == 0
        took = time.monotonic() - began
    assert took < 5, service.read_output()
    assert set(callers.answers) <= {200, 503, UNTAKEN}, callers.answers
    assert "Traceback" not in service.read_output()
    assert service.read_output().count('"message":"stopped"') == 1
    stored = reopened(service)
    assert set(stored) == {device["mac"] for device in devices}
    assert {mac: stored[mac].get("name") for mac in callers.names} == callers.names


def reopened(service: ServiceProcess) -> dict[str, dict[str, Any]]:
    """The records by MAC, from the store as it was left: nobody holds it, and every block is sound."""
    prefix = b"devices:imprinted:"
    database = plyvel.DB(str(service.data_dir / "pluto_core"), create_if_missing=False, paranoid_checks=True)
    try:
        rows = database.iterator(prefix=prefix, verify_checksums=True)
        return {key.removeprefix(prefix).decode(): orjson.loads(value) for key, value in rows}
    finally:
        database.close()
