"""What a service sends over Socket.IO, against its own AsyncAPI document."""

import jsonschema_rs
import pytest
from fakes import wait_until
from log_helpers import SocketClient

from app.events import DriftChanged
from app.models import Cause, Drift

PROVOKED = {
    "stat_update",
    "error",
    "fleet_update",
    "device_update",
    "device_removed",
    "drift",
    "job_update",
    "scan_update",
    "event",
    "log_line",
    "logs_update",
    "logsListeningStatus",
}


@pytest.fixture
def provoked(live_testbed, start_server):
    """The document, and two clients that saw every event."""
    service, miners = live_testbed("2.12", "2.15", "nerd")
    url = start_server(service)
    every, followed, gone = miners[0].mac, miners[1].mac, miners[2].mac
    polls, page = SocketClient(url), SocketClient(url)
    polls.io.emit("enableLogsListening")
    acknowledgements = {
        "subscribeFleet": page.call_event("subscribeFleet"),
        "subscribeDevice": page.call_event("subscribeDevice", {"mac": followed}),
        "subscribeLogs": page.call_event("subscribeLogs", {"mac": followed}),
    }
    document = service.client.get("/asyncapi.json").get_json()

    service.client.patch(f"/devices/{every}/system", json={"info": {"frequency": 490}})
    service.client.post("/jobs", json={"action": "identify", "devices": [every]})
    service.client.post("/devices/scan")
    # The service itself reports drift half a minute after a write at the earliest.
    tracked = service.runtime.fleet.get_device(every)
    drift = (Drift("frequency", 490, 525, "2026-11-28T00:00:00.000Z", Cause.CHANGED_ELSEWHERE),)
    service.runtime.fleet.set_drift(tracked, drift)
    service.runtime.events.publish(DriftChanged(tracked, frozenset({"frequency"})))
    miners[1].log.write_line("a line", "W")
    miners[2].power_off()

    def seen():
        return {name for client in (polls, page) for name, _ in client.events}

    wait_until(lambda: "error" in seen(), 20)
    service.client.delete(f"/devices/imprint/{gone}")
    wait_until(lambda: seen() >= PROVOKED, 20)
    acknowledgements |= {
        "unsubscribeLogs": page.call_event("unsubscribeLogs", {"mac": followed}),
        "unsubscribeDevice": page.call_event("unsubscribeDevice", {"mac": followed}),
        "unsubscribeFleet": page.call_event("unsubscribeFleet"),
    }
    events = [*polls.events, *page.events]
    for client in (polls, page):
        client.io.disconnect()
    return document, events, acknowledgements


def validate(document, name, payload):
    message = document["channels"]["events"]["messages"][name]
    schema = {**message["payload"], "components": document["components"]}
    jsonschema_rs.Draft202012Validator(schema).validate(payload)


def test_every_payload_is_as_documented(provoked):
    document, events, acknowledgements = provoked
    for name, payload in events:
        validate(document, name, payload)
    for name, payload in acknowledgements.items():
        assert payload["ok"] is True
        validate(document, f"{name}Acknowledgement", payload)
