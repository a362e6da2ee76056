"""The event log of a running service, with simulated miners and a real LevelDB."""

import pytest


def list_events(service, **query):
    """Return the events that the API shows, oldest first."""
    body = service.client.get("/events", query_string={"limit": 500, **query}).get_json()
    return list(reversed(body["data"]))


def list_kinds(service, **query):
    return [event["kind"] for event in list_events(service, **query)]


def go_offline(service, miner):
    miner.power_off()
    service.run_polls(4)


def come_back(service, miner, *, fresh=False):
    miner.power_on(fresh=fresh)
    service.run_polls(15)


def test_first_reading_tells_nothing(testbed):
    service, miners = testbed("2.15", "2.4", "nerd1.1")
    assert list_kinds(service) == ["service_started"]


def test_outage_is_told_with_its_duration(testbed):
    service, miners = testbed("2.12")
    service.client.patch(f"/devices/imprint/{miners[0].mac}", json={"device": {"name": "Attic"}})
    go_offline(service, miners[0])
    service.clock.advance(3600)
    come_back(service, miners[0])
    renamed, offline, online = list_events(service, mac=miners[0].mac)
    assert (renamed["kind"], renamed["details"]) == ("renamed", {"field": "name", "from": None, "to": "Attic"})
    assert (offline["kind"], offline["name"], offline["hostname"]) == ("offline", "Attic", "miner-1")
    assert offline["message"].startswith("Attic is offline: ")
    assert online["kind"] == "online"
    assert 3600 < online["details"]["seconds"] < 3800
    assert online["message"] == "Attic is online after 1 h"
