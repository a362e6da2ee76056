"""GET /events and GET /devices/:mac/events: the answer, the pages, and invalid parameters; Socket.IO `event`."""

from datetime import timedelta

import pytest
import socketio
from fakes import wait_until

from app.services.event_log.kinds import EventKind

FIELDS = {"id", "at", "kind", "mac", "name", "hostname", "message", "details", "count", "last"}


@pytest.fixture
def rebooted(testbed):
    """A service with two miners, both of which rebooted."""
    service, miners = testbed("2.12", "2.12")
    for miner in miners:
        miner.power_off()
        miner.power_on(reason="Brownout reset")
    service.run_polls(2)
    return service, miners


def get_events(service, path="/events", **query):
    response = service.client.get(path, query_string=query)
    assert response.status_code == 200, response.get_data(as_text=True)
    return response.get_json()


def test_event_has_all_fields(rebooted):
    service, (miner, _) = rebooted
    body = get_events(service, kind="reboot", mac=miner.mac)
    assert body.keys() == {"message", "data", "nextCursor"}
    (event,) = body["data"]
    assert event.keys() == FIELDS
    assert (event["kind"], event["mac"], event["name"], event["hostname"]) == ("reboot", miner.mac, None, "miner-1")
    assert event["message"] == "miner-1 rebooted (Brownout reset)"
    assert (event["count"], event["last"], event["at"][-1]) == (1, event["at"], "Z")
    assert (body["message"], body["nextCursor"]) == ("Events retrieved successfully", None)


def test_device_route_shows_events_of_this_device_in_any_notation_of_its_mac(rebooted):
    service, (miner, _) = rebooted
    for mac in (miner.mac, miner.mac.upper().replace(":", "-")):
        body = get_events(service, f"/devices/{mac}/events", kind="reboot,offline")
        assert [(event["kind"], event["mac"]) for event in body["data"]] == [("reboot", miner.mac)]
        assert get_events(service, mac=mac, kind="reboot,offline")["data"] == body["data"]


def test_pages_follow_the_cursor(rebooted):
    service, _ = rebooted
    everything = get_events(service)["data"]
    assert [event["id"] for event in everything] == sorted((event["id"] for event in everything), reverse=True)
    pages, cursor = [], None
    while not pages or cursor:
        body = get_events(service, limit=1, **({"cursor": cursor} if cursor else {}))
        pages, cursor = pages + body["data"], body["nextCursor"]
    assert pages == everything


@pytest.mark.parametrize("notation", ["-10m", "-1h", "-600s", "-1d", "-999999w", "iso", "zone", "naive", "date"])
def test_since_accepts_times_and_durations(rebooted, notation):
    service, _ = rebooted
    service.clock.advance(60)
    before = service.clock.now() - timedelta(minutes=5)
    stated = {
        "iso": before.isoformat().replace("+00:00", "Z"),
        "zone": (before + timedelta(hours=2)).isoformat().replace("+00:00", "+02:00"),
        "naive": before.replace(tzinfo=None).isoformat(),
        "date": before.date().isoformat(),
    }
    assert len(get_events(service, since=stated.get(notation, notation), kind="reboot")["data"]) == 2
    late = (service.clock.now() + timedelta(minutes=1)).isoformat()
    assert get_events(service, since=late, kind="reboot")["data"] == []


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("kind", "explosion", "offline, online, reboot, overheating"),
        ("kind", "reboot,explosion", "service_stopped"),
        ("limit", "0", "1 and less than or equal to 500"),
        ("limit", "501", "1 and less than or equal to 500"),
        ("limit", "many", "integer"),
        ("since", "yesterday", "ISO 8601 such as 2026-11-27T20:00:00Z, Unix seconds, or relative such as -24h"),
        ("since", "24h", "relative such as -24h"),
        ("since", "-24y", "relative such as -24h"),
        ("since", "2026-13-01T00:00:00Z", "ISO 8601 such as"),
        ("cursor", "12", "nextCursor of an earlier answer"),
        ("cursor", "event:all:", "nextCursor of an earlier answer"),
    ],
)
@pytest.mark.parametrize("route", ["/events", "/devices/{mac}/events"])
def test_invalid_parameter_is_400_that_names_the_valid_values(rebooted, route, field, value, named):
    service, (miner, _) = rebooted
    response = service.client.get(route.format(mac=miner.mac), query_string={field: value})
    assert response.status_code == 400
    (problem,) = response.get_json()["details"][field]
    assert named in problem


def test_every_kind_is_named_by_the_400(rebooted):
    (problem,) = rebooted[0].client.get("/events?kind=x").get_json()["details"]["kind"]
    assert [kind for kind in EventKind if kind not in problem] == []


def test_invalid_mac_is_400_and_an_unknown_device_404(rebooted):
    service, _ = rebooted
    response = service.client.get("/events?mac=attic")
    assert response.status_code == 400
    assert response.get_json()["details"]["mac"] == ["A MAC such as 02:00:5e:00:00:01 is needed."]
    assert service.client.get("/devices/02:00:5e:00:00:99/events").status_code == 404
    assert get_events(service, mac="02:00:5e:00:00:99")["data"] == []


def test_socket_clients_get_each_event_once(make_fleet, make_service, start_server):
    fleet = make_fleet("2.15")
    service = make_service(fleet)
    service.imprint_miners(*fleet)
    service.wait_for_status("online", *fleet)
    client, received = socketio.Client(reconnection=False), []
    client.on("event", received.append)
    client.connect(start_server(service), socketio_path="/socket/io")
    try:
        for name in ("Attic", "Cellar", "Attic", "Cellar"):
            service.client.patch(f"/devices/imprint/{fleet[0].mac}", json={"device": {"name": name}})
        service.client.delete(f"/devices/imprint/{fleet[0].mac}")
        fleet[0].fault = "refuse"
        service.imprint_miners(*fleet)
        wait_until(lambda: [event for event in received if event["kind"] == "offline"])
    finally:
        client.disconnect()
    names = [event for event in received if event["kind"] == "renamed"]
    assert [(event["details"]["to"], event["count"]) for event in names] == [("Attic", 1), ("Cellar", 1), ("Attic", 1)]
    stored = {event["id"]: event["count"] for event in get_events(service, kind="renamed")["data"]}
    assert [stored[event["id"]] for event in names] == [1, 2, 1]
    assert names[0].keys() == FIELDS
