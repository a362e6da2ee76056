"""Failures of the discovery service and of Prometheus: known miners are polled all the same, and every error response
is JSON that names the cause."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from typing import Any

import gevent
import orjson
import pytest
import requests
from fakes import ScriptedServer, find_free_port, wait_until
from testbed import Service

from simulator import Fleet

PRIVATE_NETWORK = IPv4Network("192.168.0.0/16")
MINERS = IPv4Network("127.80.0.0/27")


def make_responder(payload: bytes, status: str = "200 OK", kind: str = "application/json") -> Callable[[Any], None]:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(payload)}\r\nConnection: close\r\n\r\n"

    def respond(opened: Any) -> None:
        opened.recv(65536)
        opened.sendall(head.encode() + payload)

    return respond


def never_respond(opened: Any) -> None:
    """Read the request and send nothing until the peer closes."""
    opened.recv(65536)
    opened.recv(65536)


def make_row(ip: str, number: int = 1) -> dict[str, Any]:
    return {"ip": ip, "mac": f"02:00:5e:aa:{number >> 8:02x}:{number & 255:02x}", "type": "unknown", "info": {}}


MANY = [make_row(f"192.168.{number >> 8 & 255}.{number & 255}", number) for number in range(1, 100_001)]
FORBIDDEN = [
    make_row(ip) for ip in ("8.8.8.8", "169.254.169.254", "224.0.0.1", "0.0.0.0", "localhost", "192.168.1.5/24")
]

# Fault → the status of GET /devices/discovered, and the number of rows in its response.
FAULTS: dict[str, tuple[Callable[[Any], None] | None, int, int]] = {
    "down": (None, 502, 0),
    "html": (make_responder(b"<html>It works!</html>", kind="text/html"), 502, 0),
    "error 500": (make_responder(b"oops", "500 Internal Server Error"), 502, 0),
    "not a list": (make_responder(b'{"devices": []}'), 502, 0),
    "truncated": (make_responder(orjson.dumps(MANY[:9])[:-20]), 502, 0),
    "rows that are none": (make_responder(orjson.dumps([None, 5, "x", [], {}, {"ip": 5}, MANY[0]])), 200, 1),
    "loopback, public and other addresses": (make_responder(orjson.dumps([*FORBIDDEN, MANY[0]])), 200, 1),
    "100,000 rows": (make_responder(orjson.dumps(MANY)), 200, 4096),
}


@pytest.fixture
def discovery() -> Iterator[Callable[[Callable[[Any], None] | None], str]]:
    """Start a discovery service with this script and return its URL."""
    peers: list[ScriptedServer] = []

    def start_discovery(script: Callable[[Any], None] | None) -> str:
        if script is None:
            return f"http://127.0.0.1:{find_free_port()}"
        peers.append(ScriptedServer(script).__enter__())
        return f"http://127.0.0.1:{peers[-1].port}"

    yield start_discovery
    for peer in peers:
        peer.__exit__()


@pytest.fixture
def service_with_discovery(
    make_fleet: Callable[..., Fleet], make_service: Callable[..., Service], discovery: Callable[..., str]
) -> Callable[..., tuple[Service, Fleet]]:
    """Start the service with two online miners and a discovery service with this script."""

    def start_service(script: Callable[[Any], None] | None) -> tuple[Service, Fleet]:
        fleet = make_fleet("2.12", "2.4")
        networks = {"allowed_device_networks": (PRIVATE_NETWORK, MINERS)}
        service = make_service(fleet, discovery_service_host=discovery(script), **networks)
        service.imprint_miners(*fleet)
        service.wait_for_status("online", *fleet)
        return service, fleet

    return start_service


def assert_miners_are_polled(service: Service, fleet: Fleet) -> None:
    before = service.count_observations(fleet[0].mac)
    wait_until(lambda: service.count_observations(fleet[0].mac) >= before + 2)
    assert {device["status"] for device in service.list_devices()} == {"online"}
    assert service.scrape_metrics().get_value("hardware_online") == 2
    assert service.client.get("/readyz").status_code == 200


@pytest.mark.parametrize("fault", FAULTS)
def test_known_miners_are_polled_whatever_discovery_answers(
    service_with_discovery: Callable[..., Any], fault: str
) -> None:
    script, status, rows = FAULTS[fault]
    service, fleet = service_with_discovery(script)
    for path in ("/devices/discovered", "/devices/discover"):
        response = service.client.get(path)
        assert response.status_code == status
        body = response.get_json()
        assert len(body) == rows if status == 200 else body["error"] == body["message"] != ""
    assert_miners_are_polled(service, fleet)
    assert service.client.put("/devices/imprint", json={"macs": ["02:00:5e:bb:00:01"]}).status_code in (404, 502)


def test_slow_discovery_service_delays_no_poll_imprint_or_shutdown(
    service_with_discovery: Callable[..., Any], start_server: Callable[..., str]
) -> None:
    """A registration by MAC and address does not need discovery."""
    service, fleet = service_with_discovery(never_respond)
    url = start_server(service)
    requests_in_flight = [gevent.spawn(requests.get, f"{url}/devices/discover", timeout=30) for _ in range(3)]
    wait_until(lambda: all(each.started for each in requests_in_flight))
    assert_miners_are_polled(service, fleet)
    assert not any(each.ready() for each in requests_in_flight)
    service.imprint_miners(*fleet)
    began = time.monotonic()
    service.stop()
    assert time.monotonic() - began < 4
    assert [each.get(timeout=5).status_code for each in requests_in_flight] == [503] * 3


def test_error_text_of_discovery_service_is_not_passed_on(service_with_discovery: Callable[..., Any]) -> None:
    service, _ = service_with_discovery(
        make_responder(b"<script>alert(1)</script> password=hunter2", "500 Internal Server Error")
    )
    text = service.client.get("/devices/discovered").get_data(as_text=True)
    assert "script" not in text
    assert "hunter2" not in text


def test_first_scrape_after_long_pause_is_complete(testbed: Callable[..., Any]) -> None:
    """Prometheus may start late: nothing is stored for it, and its first scrape is complete."""
    service, fleet = testbed("2.12", "2.4", rounds=20)
    first = service.scrape_metrics()
    assert first.get_value("hardware_online") == 2
    assert all({"up", "hashrate_ghs", "power_watts"} <= first.get_device_values(miner.mac).keys() for miner in fleet)
    service.run_polls(20)
    assert service.scrape_metrics().list_names() == first.list_names()
