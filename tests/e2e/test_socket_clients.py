"""The npm socket.io-client with each of its ways to connect, directly and through a proxy."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from nginx import start_nginx
from processes import MINER_COUNT, Process, ServiceProcess, SimulatorProcess, wait_for

FINAL_TRANSPORTS = {
    "frontend": "websocket",
    "polling, slash": "polling",
    "polling, no slash": "polling",
    "websocket, slash": "websocket",
    "websocket, no slash": "websocket",
    "upgrade, no slash": "websocket",
}

Event = dict[str, Any]


def list_events(clients: Process, event: str) -> list[Event]:
    """Return the events of this name that the clients have received. The last line may be incomplete and is skipped."""
    lines = clients.read_output().rpartition("\n")[0].splitlines()
    return [parsed for line in lines if (parsed := json.loads(line))["event"] == event]


def have_all_received(clients: Process, event: str, wanted: set[str]) -> bool:
    """Return whether every client has received this event for each of these devices."""
    received = {(each["way"], each["payload"]["mac"]) for each in list_events(clients, event)}
    return received >= {(way, mac) for way in FINAL_TRANSPORTS for mac in wanted}


def list_transports(clients: Process) -> dict[str, str]:
    return {each["way"]: each["payload"] for each in list_events(clients, "transport")}


def test_clients_receive_updates_errors_and_removals_of_miners(
    service: ServiceProcess, miners: SimulatorProcess, start_node_script: Callable[..., Process]
) -> None:
    macs = {device["mac"] for device in service.list_devices()}
    clients = start_node_script("sockets.mjs", service.url)

    wait_for("stat_update of every miner at every client", lambda: have_all_received(clients, "stat_update", macs), 20)
    assert list_transports(clients) == FINAL_TRANSPORTS
    assert not list_events(clients, "connect_error")
    update = list_events(clients, "stat_update")[-1]["payload"]
    assert update["tracing"] is True
    assert update["info"]["hashRate"] > 0
    assert {each["payload"] for each in list_events(clients, "logsListeningStatus")} == {False}

    powered_off, removed = sorted(macs)[:2]
    miners.send_command(powered_off, "power_off")
    wait_for("error of the miner that is off", lambda: have_all_received(clients, "error", {powered_off}), 20)
    errors = [each["payload"] for each in list_events(clients, "error")]
    assert {each["mac"] for each in errors} == {powered_off}
    assert all(each["tracing"] is False and each["error"] for each in errors)
    wait_for("event of the miner that is off", lambda: have_all_received(clients, "event", {powered_off}), 10)
    logged = [each["payload"] for each in list_events(clients, "event") if each["payload"]["mac"] == powered_off]
    assert {each["kind"] for each in logged} == {"offline"}
    assert all("is offline" in each["message"] for each in logged)

    address = service.call_api("GET", f"/devices/imprint/{removed}")["data"]["ip"]
    service.call_api("DELETE", f"/devices/imprint/{removed}")
    wait_for("device_removed", lambda: have_all_received(clients, "device_removed", {removed}), 10)
    removal = list_events(clients, "device_removed")[0]["payload"]
    assert removal["ipRemoved"] == address
    assert len(removal["remainingIps"]) == MINER_COUNT - 1
    assert address not in removal["remainingIps"]


def test_clients_receive_updates_through_a_proxy_that_strips_api(
    service: ServiceProcess,
    start_node_script: Callable[..., Process],
    start_program: Callable[..., Process],
    tmp_path: Any,
) -> None:
    macs = {device["mac"] for device in service.list_devices()}
    proxy_url = start_nginx(start_program, tmp_path, service.url)
    clients = start_node_script("sockets.mjs", proxy_url, "/api/socket/io")
    wait_for("stat_update of every miner at every client", lambda: have_all_received(clients, "stat_update", macs), 20)
    assert list_transports(clients) == FINAL_TRANSPORTS
    assert not list_events(clients, "connect_error")


def test_clients_reconnect_after_a_restart_of_the_service(
    service: ServiceProcess, miners: SimulatorProcess, start_node_script: Callable[..., Process], start_service: Any
) -> None:
    clients = start_node_script("sockets.mjs", service.url)
    macs = {device["mac"] for device in service.list_devices()}
    wait_for("stat_update", lambda: have_all_received(clients, "stat_update", macs), 20)
    assert service.stop() == 0
    wait_for(
        "disconnect", lambda: {each["way"] for each in list_events(clients, "disconnect")} == set(FINAL_TRANSPORTS), 20
    )
    before = len(clients.read_output())
    start_service(POLL_INTERVAL=1, PORT=service.port, **miners.settings())
    wait_for("stat_update again", lambda: clients.read_output()[before:].count('"stat_update"') >= 6 * MINER_COUNT, 30)
