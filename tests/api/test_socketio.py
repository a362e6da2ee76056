"""Socket.IO, contract §2, with a real client over real sockets."""

import pytest
import requests
import socketio
from fakes import wait_until


class EventClient:
    """A client that records every event as (name, payload)."""

    def __init__(self, url, path="/socket/io", transports=None):
        self.events = []
        self.io = socketio.Client(reconnection=False)
        self.io.on("*", lambda name, *payload: self.events.append((name, payload[0] if payload else None)))
        self.io.connect(url, socketio_path=path, transports=transports)

    def payloads(self, name):
        return [payload for each, payload in self.events if each == name]

    def await_one(self, name, within=8):
        return wait_until(lambda: self.payloads(name), within)[0]


@pytest.fixture
def testbed(make_fleet, make_service, start_server):
    """A service with two miners and fast polls, behind a real server."""
    fleet = make_fleet("2.15", "2.4")
    service = make_service(fleet)
    return service, fleet, start_server(service)


@pytest.fixture
def open_client(testbed):
    clients = []

    def connect(**options):
        clients.append(EventClient(testbed[2], **options))
        return clients[-1]

    yield connect
    for client in clients:
        client.io.disconnect()


@pytest.mark.parametrize("path", ["/socket/io", "/socket/io/"])
@pytest.mark.parametrize(
    ("transports", "used"), [(["polling"], "polling"), (["websocket"], "websocket"), (None, "websocket")]
)
def test_client_connects_by_each_transport_with_and_without_slash(testbed, open_client, path, transports, used):
    service, fleet, _ = testbed
    client = open_client(path=path, transports=transports)
    wait_until(lambda: client.io.transport() == used)
    service.imprint_miners(*fleet)
    client.await_one("stat_update")
    assert service.scrape_metrics().get_value("pluto_socket_clients") == 1
    client.io.disconnect()
    assert wait_until(lambda: service.scrape_metrics().get_value("pluto_socket_clients") == 0)


@pytest.mark.parametrize("path", ["/socket/io", "/socket/io/"])
def test_open_packet_contains_ping_intervals_and_upgrades(testbed, path):
    """As an engine.io client without our library sees it: ping after 10 s and 5 s, and no trailing slash needed."""
    response = requests.get(f"{testbed[2]}{path}", params={"EIO": "4", "transport": "polling"}, timeout=5)
    assert response.status_code == 200
    assert response.text.startswith("0{")
    assert '"pingInterval":10000' in response.text
    assert '"pingTimeout":5000' in response.text
    assert '"upgrades":["websocket"]' in response.text


def test_plain_get_of_socket_path_returns_message(testbed):
    for path in ("/socket/io", "/socket/io/"):
        assert requests.get(f"{testbed[2]}{path}", timeout=5).json() == {
            "message": "Socket started listening to devices"
        }


def test_stat_update_contains_device_with_new_reading(testbed, open_client):
    service, fleet, _ = testbed
    client = open_client()
    service.imprint_miners(*fleet)
    wait_until(lambda: {each["mac"] for each in client.payloads("stat_update")} == {miner.mac for miner in fleet})
    for device in client.payloads("stat_update"):
        assert device["tracing"] is True
        assert device.keys() == service.get_device(device["mac"]).keys()
        assert device["info"]["power"] > 0
        assert isinstance(device["info"]["stratumUser"], str)
        assert device["info"]["frequencyOptions"]


def test_events_contain_no_secrets(testbed, open_client):
    """Defect 27: the Node backend's events contained the complete answers of the firmware."""
    service, fleet, _ = testbed
    client = open_client()
    service.imprint_miners(*fleet)
    client.await_one("stat_update")
    assert "stratumPassword" in str(fleet[0].read_info())
    assert "assword" not in str(client.events)


def test_error_event_is_sent_for_each_failed_poll_once_offline(testbed, open_client):
    service, fleet, _ = testbed
    service.imprint_miners(fleet[0])
    service.wait_for_status("online", fleet[0])
    client = open_client()
    fleet[0].fault = "refuse"
    device = client.await_one("error")
    assert (device["mac"], device["tracing"], device["status"]) == (fleet[0].mac, False, "offline")
    assert "cannot be reached" in device["error"]
    names = [name for name, payload in client.events if payload and payload.get("tracing") is False]
    assert names[:2] == ["stat_update", "error"]
    assert client.payloads("stat_update")[-1] == device
    assert service.runtime.fleet.get_device(fleet[0].mac).observation.failures >= 3
    assert wait_until(lambda: len(client.payloads("error")) >= 2)


def test_device_removed_contains_address_mac_and_remaining_addresses(testbed, open_client):
    """Defect 28: the Node backend's event contained only addresses. Both un-listen and delete publish it."""
    service, (one, other), _ = testbed
    service.imprint_miners(one, other)
    client = open_client()
    service.client.put("/devices/listen", json={"macs": [other.mac]})
    removed = client.await_one("device_removed")
    assert removed == {"ipRemoved": one.address, "remainingIps": [other.address], "mac": one.mac}
    client.events.clear()
    service.client.delete(f"/devices/imprint/{other.mac}")
    assert client.await_one("device_removed") == {"ipRemoved": other.address, "remainingIps": [], "mac": other.mac}
    client.events.clear()
    service.client.delete(f"/devices/imprint/{one.mac}")
    assert client.await_one("device_removed")["mac"] == one.mac


def test_logs_listening_switch_is_global_and_check_is_answered_to_caller(testbed, open_client):
    one, other = open_client(), open_client()
    one.io.emit("checkLogsListening")
    wait_until(lambda: one.payloads("logsListeningStatus") == [False])
    one.io.emit("enableLogsListening")
    wait_until(
        lambda: one.payloads("logsListeningStatus") == [False, True] and other.payloads("logsListeningStatus") == [True]
    )
    other.io.emit("checkLogsListening")
    wait_until(lambda: other.payloads("logsListeningStatus") == [True, True])
    other.io.emit("disableLogsListening")
    wait_until(
        lambda: one.payloads("logsListeningStatus")[-1] is False and other.payloads("logsListeningStatus")[-1] is False
    )
    assert len(one.payloads("logsListeningStatus")) == 3


@pytest.mark.parametrize("event", ["subscribeEverything", "stat_update", "error", "device_removed"])
@pytest.mark.parametrize("payload", [None, {"a": 1}, [1] * 50, "x" * 1000])
def test_unknown_events_are_ignored(testbed, open_client, event, payload):
    service, fleet, _ = testbed
    client, other = open_client(), open_client()
    client.io.emit(event, payload)
    client.io.emit("checkLogsListening", payload)
    wait_until(lambda: client.payloads("logsListeningStatus"))
    assert client.io.connected
    assert other.events == []


def test_oversized_message_disconnects_only_that_client(testbed, open_client):
    service, fleet, _ = testbed
    client, other = open_client(), open_client()
    client.io.emit("checkLogsListening", "x" * 200_000)
    wait_until(lambda: not client.io.connected)
    service.imprint_miners(fleet[0])
    other.await_one("stat_update")


def test_client_that_dies_silently_does_not_affect_others(testbed, open_client):
    service, fleet, _ = testbed
    dying, other = open_client(transports=["websocket"]), open_client()
    dying.io.eio.ws.sock.close()
    service.imprint_miners(*fleet)
    other.await_one("stat_update")
    wait_until(lambda: service.count_observations(fleet[0].mac) >= 2)


def test_path_similar_to_socket_path_is_404(testbed):
    response = requests.get(f"{testbed[2]}/socket/iox/", params={"EIO": "4", "transport": "polling"}, timeout=5)
    assert (response.status_code, response.json()["error"] != "") == (404, True)
