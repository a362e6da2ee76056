"""The feed of rows and of single devices, with Socket.IO clients over the network."""

import gc

import gevent
import pytest
from fakes import wait_until
from log_helpers import SocketClient

from app.socketio.fleet_subscriptions import MAX_WATCHED
from simulator import mac_of

POLL_EVENTS = {"stat_update", "error"}


@pytest.fixture
def feed(live_testbed, start_server):
    """A service with three miners, and a function that connects a client to it."""
    service, miners = live_testbed("2.12", "2.12", "nerd")
    url = start_server(service)
    clients = []

    def connect():
        clients.append(SocketClient(url))
        return clients[-1]

    yield service, miners, connect
    for client in clients:
        client.io.disconnect()


def list_rows(client, mac):
    return [row for update in client.list_payloads("fleet_update") for row in update["devices"] if row["mac"] == mac]


def list_removed(client):
    return [mac for update in client.list_payloads("fleet_update") for mac in update["removed"]]


def wait_for_row(client, mac, **values):
    wait_until(lambda: any(values.items() <= row.items() for row in list_rows(client, mac)), 8)


def names_of(client):
    return {name for name, _ in client.events}


def read_row(service, mac):
    (row,) = service.client.get("/devices", query_string={"q": mac}).get_json()["data"]
    return row


def test_one_client_gets_rows_and_the_other_all_polls(feed):
    service, miners, connect = feed
    follower, subscriber = connect(), connect()
    assert subscriber.call_event("subscribeFleet") == {"ok": True}
    subscriber.events.clear()
    follower.events.clear()
    wait_until(lambda: len(subscriber.list_payloads("fleet_update")) >= 3, 8)
    assert not POLL_EVENTS & names_of(subscriber)
    assert "fleet_update" not in names_of(follower)
    macs = {miner.mac for miner in miners}
    assert {update["mac"] for update in follower.list_payloads("stat_update")} == macs
    for update in subscriber.list_payloads("fleet_update"):
        assert update.keys() == {"at", "devices", "removed"}
        found = [row["mac"] for row in update["devices"]]
        assert len(found) == len(set(found))
        assert set(found) <= macs
    times = [update["at"] for update in subscriber.list_payloads("fleet_update")]
    assert times == sorted(times)
    # Polls come twice a second here, batches once.
    assert len(follower.list_payloads("stat_update")) > 3 * len(times)
    sent = list_rows(subscriber, miners[0].mac)[-1]
    assert sent.keys() == read_row(service, miners[0].mac).keys()


def test_only_changed_rows_are_sent(feed):
    service, miners, connect = feed
    service.client.put("/devices/listen", json={"macs": [miners[1].mac]})
    client = connect()
    client.call_event("subscribeFleet")
    wait_until(lambda: len(client.list_payloads("fleet_update")) >= 2, 8)
    assert {row["mac"] for update in client.list_payloads("fleet_update") for row in update["devices"]} == {
        miners[1].mac
    }


def test_without_changes_nothing_is_sent(feed):
    service, _, connect = feed
    service.client.put("/devices/listen", json={"macs": []})
    client = connect()
    client.call_event("subscribeFleet")
    gevent.sleep(2.2)
    assert client.list_payloads("fleet_update") == []


def test_rename_tags_registration_and_monitoring_are_sent(feed):
    service, miners, connect = feed
    mac, other = miners[0].mac, miners[1].mac
    service.client.delete(f"/devices/imprint/{other}")
    service.client.put("/devices/listen", json={"macs": []})
    client = connect()
    client.call_event("subscribeFleet")
    service.client.patch(f"/devices/imprint/{mac}", json={"device": {"name": "Attic", "tags": ["roof"]}})
    wait_for_row(client, mac, title="Attic", tags=["roof"], status="unmonitored")
    service.imprint_miners(miners[1])
    wait_for_row(client, other, title="miner-2")
    service.client.put("/devices/listen", json={"macs": [mac]})
    wait_for_row(client, mac, title="Attic", status="online", monitored=True)


def test_deleted_device_is_removed_and_may_return(feed):
    service, miners, connect = feed
    client = connect()
    client.call_event("subscribeFleet")
    service.client.delete(f"/devices/imprint/{miners[0].mac}")
    wait_until(lambda: list_removed(client) == [miners[0].mac], 8)
    client.events.clear()
    service.imprint_miners(miners[0])
    wait_for_row(client, miners[0].mac, status="online")
    assert list_removed(client) == []


def test_device_that_stops_answering_has_a_problem(feed):
    _, miners, connect = feed
    client = connect()
    client.call_event("subscribeFleet")
    miners[2].power_off()
    wait_until(lambda: any(row["status"] == "offline" for row in list_rows(client, miners[2].mac)), 15)
    offline = next(row for row in list_rows(client, miners[2].mac) if row["status"] == "offline")
    assert [problem["kind"] for problem in offline["problems"]] == ["offline"]
    assert offline["problems"][0]["nextAt"] == offline["nextPollAt"]


def test_client_that_unsubscribes_gets_polls_again(feed):
    _, _, connect = feed
    client = connect()
    client.call_event("subscribeFleet")
    wait_until(lambda: "fleet_update" in names_of(client), 8)
    assert client.call_event("unsubscribeFleet") == {"ok": True}
    client.events.clear()
    wait_until(lambda: len(client.list_payloads("stat_update")) >= 6, 8)
    assert "fleet_update" not in names_of(client)


def test_client_that_connects_again_subscribes_again(feed):
    service, miners, connect = feed
    first = connect()
    first.call_event("subscribeFleet")
    wait_until(lambda: "fleet_update" in names_of(first), 8)
    first.io.disconnect()
    service.client.patch(f"/devices/imprint/{miners[0].mac}", json={"device": {"name": "Attic"}})
    second = connect()
    wait_until(lambda: "stat_update" in names_of(second), 8)
    second.call_event("subscribeFleet")
    assert read_row(service, miners[0].mac)["title"] == "Attic"
    second.events.clear()
    wait_until(lambda: "fleet_update" in names_of(second), 8)
    assert not POLL_EVENTS & names_of(second)


def test_feed_ends_with_its_last_subscriber(feed):
    service, miners, connect = feed
    client, other = connect(), connect()
    client.call_event("subscribeFleet")
    other.call_event("subscribeDevice", {"mac": miners[0].mac})

    def count_loops():
        return sum("FleetFeed" in repr(greenlet) for greenlet in list_greenlets())

    assert count_loops() == 1
    client.call_event("unsubscribeFleet")
    wait_until(lambda: len(other.list_payloads("device_update")) > 2, 8)
    other.io.disconnect()
    wait_until(lambda: count_loops() == 0, 5)


def list_greenlets():
    return [each for each in gc.get_objects() if isinstance(each, gevent.Greenlet) and not each.dead]


def test_watched_device_is_sent_whole(feed):
    service, miners, connect = feed
    mac = miners[0].mac
    client = connect()
    client.call_event("subscribeFleet")
    answer = client.call_event("subscribeDevice", {"mac": mac.upper().replace(":", "-")})
    assert answer == {"ok": True, "mac": mac}
    wait_until(lambda: len(client.list_payloads("device_update")) >= 3, 8)
    updates = client.list_payloads("device_update")
    assert {update["mac"] for update in updates} == {mac}
    assert updates[-1].keys() == service.get_device(mac).keys()
    service.client.patch(f"/devices/imprint/{mac}", json={"device": {"name": "Attic"}})
    wait_until(lambda: client.list_payloads("device_update")[-1].get("name") == "Attic", 8)
    assert client.call_event("unsubscribeDevice", {"mac": mac}) == {"ok": True, "mac": mac}
    client.events.clear()
    wait_until(lambda: len(client.list_payloads("fleet_update")) >= 2, 8)
    assert "device_update" not in names_of(client)


@pytest.mark.parametrize("payload", [None, "02:00:5e:00:00:01", {}, {"mac": 5}, {"mac": ""}, {"mac": "no"}, [1, 2]])
def test_device_that_does_not_exist_cannot_be_watched(feed, payload):
    _, _, connect = feed
    answer = connect().call_event("subscribeDevice", payload)
    assert answer["ok"] is False
    assert answer["error"]


def test_number_of_watched_devices_is_limited(make_service, start_server):
    service = make_service(auto_listen=False)
    devices = [{"mac": mac_of(number), "ip": f"127.80.0.{number}"} for number in range(1, MAX_WATCHED + 2)]
    service.client.put("/devices/imprint", json={"devices": devices})
    client = SocketClient(start_server(service))
    answers = [client.call_event("subscribeDevice", {"mac": device["mac"]})["ok"] for device in devices]
    assert answers == [True] * MAX_WATCHED + [False]
    assert client.call_event("subscribeDevice", {"mac": devices[0]["mac"]})["ok"] is True
    client.call_event("unsubscribeDevice", {"mac": devices[0]["mac"]})
    assert client.call_event("subscribeDevice", {"mac": devices[-1]["mac"]})["ok"] is True
    client.io.disconnect()
