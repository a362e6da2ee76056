"""The npm socket.io-client, in every way it can connect, straight and through a proxy."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from nginx import nginx
from processes import MINERS, Miners, Process, Service, wait_for

FINAL_TRANSPORT = {
    "frontend": "websocket",
    "polling, slash": "polling",
    "polling, no slash": "polling",
    "websocket, slash": "websocket",
    "websocket, no slash": "websocket",
    "upgrade, no slash": "websocket",
}

Event = dict[str, Any]


def events(clients: Process, event: str) -> list[Event]:
    """What the clients got so far; the last line may still be half written."""
    lines = clients.text().rpartition("\n")[0].splitlines()
    return [parsed for line in lines if (parsed := json.loads(line))["event"] == event]


def all_have(clients: Process, event: str, wanted: set[str]) -> bool:
    """Whether every client got this event from each of these devices."""
    got = {(each["way"], each["payload"]["mac"]) for each in events(clients, event)}
    return got >= {(way, mac) for way in FINAL_TRANSPORT for mac in wanted}


def transports(clients: Process) -> dict[str, str]:
    return {each["way"]: each["payload"] for each in events(clients, "transport")}


def test_clients_see_every_miner_its_loss_and_its_removal(
    service: Service, miners: Miners, node: Callable[..., Process]
) -> None:
    macs = {device["mac"] for device in service.devices()}
    clients = node("sockets.mjs", service.url)

    wait_for("stat_update of every miner at every client", lambda: all_have(clients, "stat_update", macs), 20)
    assert transports(clients) == FINAL_TRANSPORT
    assert not events(clients, "connect_error")
    update = events(clients, "stat_update")[-1]["payload"]
    assert update["tracing"] is True
    assert update["info"]["hashRate"] > 0
    assert {each["payload"] for each in events(clients, "logsListeningStatus")} == {False}

    lost, removed = sorted(macs)[:2]
    miners.tell(lost, "power_off")
    wait_for("error of the miner that is off", lambda: all_have(clients, "error", {lost}), 20)
    errors = [each["payload"] for each in events(clients, "error")]
    assert {each["mac"] for each in errors} == {lost}
    assert all(each["tracing"] is False and each["error"] for each in errors)

    address = service.call("GET", f"/devices/imprint/{removed}")["data"]["ip"]
    service.call("DELETE", f"/devices/imprint/{removed}")
    wait_for("device_removed", lambda: all_have(clients, "device_removed", {removed}), 10)
    gone = events(clients, "device_removed")[0]["payload"]
    assert gone["ipRemoved"] == address
    assert len(gone["remainingIps"]) == MINERS - 1
    assert address not in gone["remainingIps"]


def test_clients_behind_a_proxy_that_strips_api(
    service: Service, node: Callable[..., Process], run: Callable[..., Process], tmp_path: Any
) -> None:
    macs = {device["mac"] for device in service.devices()}
    proxied = nginx(run, tmp_path, service.url)
    clients = node("sockets.mjs", proxied, "/api/socket/io")
    wait_for("stat_update of every miner at every client", lambda: all_have(clients, "stat_update", macs), 20)
    assert transports(clients) == FINAL_TRANSPORT
    assert not events(clients, "connect_error")


def test_clients_come_back_after_a_restart(
    service: Service, miners: Miners, node: Callable[..., Process], start: Any
) -> None:
    clients = node("sockets.mjs", service.url)
    macs = {device["mac"] for device in service.devices()}
    wait_for("stat_update", lambda: all_have(clients, "stat_update", macs), 20)
    assert service.stop() == 0
    wait_for("disconnect", lambda: {each["way"] for each in events(clients, "disconnect")} == set(FINAL_TRANSPORT), 20)
    before = len(clients.text())
    start(POLL_INTERVAL=1, PORT=service.port, **miners.settings())
    wait_for("stat_update again", lambda: clients.text()[before:].count('"stat_update"') >= 6 * MINERS, 30)
