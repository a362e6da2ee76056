"""What the service depends on fails, in every way it can: the miners are watched all the same, and every answer is a
JSON one that says what is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from typing import Any

import gevent
import orjson
import pytest
import requests
from fakes import Peer, eventually, free_port
from testbed import Service

from simulator import Fleet

HOME = IPv4Network("192.168.0.0/16")
MINERS = IPv4Network("127.80.0.0/27")


def answering(payload: bytes, status: str = "200 OK", kind: str = "application/json") -> Callable[[Any], None]:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(payload)}\r\nConnection: close\r\n\r\n"

    def script(opened: Any) -> None:
        opened.recv(65536)
        opened.sendall(head.encode() + payload)

    return script


def silent(opened: Any) -> None:
    """Takes the request and thinks about it for longer than anybody waits."""
    opened.recv(65536)
    opened.recv(65536)


def row(ip: str, number: int = 1) -> dict[str, Any]:
    return {"ip": ip, "mac": f"02:00:5e:aa:{number >> 8:02x}:{number & 255:02x}", "type": "unknown", "info": {}}


MANY = [row(f"192.168.{number >> 8 & 255}.{number & 255}", number) for number in range(1, 100_001)]
FORBIDDEN = [row(ip) for ip in ("8.8.8.8", "169.254.169.254", "224.0.0.1", "0.0.0.0", "localhost", "192.168.1.5/24")]

# What it does → the status of GET /devices/discovered, and how many rows come of it.
FAULTS: dict[str, tuple[Callable[[Any], None] | None, int, int]] = {
    "down": (None, 502, 0),
    "html": (answering(b"<html>It works!</html>", kind="text/html"), 502, 0),
    "error 500": (answering(b"oops", "500 Internal Server Error"), 502, 0),
    "not a list": (answering(b'{"devices": []}'), 502, 0),
    "truncated": (answering(orjson.dumps(MANY[:9])[:-20]), 502, 0),
    "rows that are none": (answering(orjson.dumps([None, 5, "x", [], {}, {"ip": 5}, MANY[0]])), 200, 1),
    "loopback, public and other addresses": (answering(orjson.dumps([*FORBIDDEN, MANY[0]])), 200, 1),
    "100,000 rows": (answering(orjson.dumps(MANY)), 200, 4096),
}


@pytest.fixture
def discovery() -> Iterator[Callable[[Callable[[Any], None] | None], str]]:
    """The URL of a discovery service that does this."""
    peers: list[Peer] = []

    def start(script: Callable[[Any], None] | None) -> str:
        if script is None:
            return f"http://127.0.0.1:{free_port()}"
        peers.append(Peer(script).__enter__())
        return f"http://127.0.0.1:{peers[-1].port}"

    yield start
    for peer in peers:
        peer.__exit__()


@pytest.fixture
def beside(
    make_fleet: Callable[..., Fleet], make_service: Callable[..., Service], discovery: Callable[..., str]
) -> Callable[..., tuple[Service, Fleet]]:
    """The service with two miners online, beside a discovery service that does this."""

    def start(script: Callable[[Any], None] | None) -> tuple[Service, Fleet]:
        fleet = make_fleet("2.12", "2.4")
        networks = {"allowed_device_networks": (HOME, MINERS)}
        service = make_service(fleet, discovery_service_host=discovery(script), **networks)
        service.imprint(*fleet)
        service.await_status("online", *fleet)
        return service, fleet

    return start


def all_is_well(service: Service, fleet: Fleet) -> None:
    before = service.observed(fleet[0].mac)
    eventually(lambda: service.observed(fleet[0].mac) >= before + 2)
    assert {device["status"] for device in service.devices()} == {"online"}
    assert service.scrape().get_one("hardware_online") == 2
    assert service.client.get("/readyz").status_code == 200


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_discovery_says_known_miners_are_watched(beside: Callable[..., Any], fault: str) -> None:
    script, status, rows = FAULTS[fault]
    service, fleet = beside(script)
    for path in ("/devices/discovered", "/devices/discover"):
        answer = service.client.get(path)
        assert answer.status_code == status
        body = answer.get_json()
        assert len(body) == rows if status == 200 else body["error"] == body["message"] != ""
    all_is_well(service, fleet)
    assert service.client.put("/devices/imprint", json={"macs": ["02:00:5e:bb:00:01"]}).status_code in (404, 502)


def test_a_discovery_service_that_thinks_for_long_delays_nobody(
    beside: Callable[..., Any], serve: Callable[..., str]
) -> None:
    """Nor an imprint by hand, for which it is not needed, nor the end."""
    service, fleet = beside(silent)
    url = serve(service)
    asked = [gevent.spawn(requests.get, f"{url}/devices/discover", timeout=30) for _ in range(3)]
    eventually(lambda: all(each.started for each in asked))
    all_is_well(service, fleet)
    assert not any(each.ready() for each in asked)
    service.imprint(*fleet)
    began = time.monotonic()
    service.stop()
    assert time.monotonic() - began < 4
    assert [each.get(timeout=5).status_code for each in asked] == [503] * 3


def test_what_discovery_says_of_itself_is_not_passed_on(beside: Callable[..., Any]) -> None:
    service, _ = beside(answering(b"<script>alert(1)</script> password=hunter2", "500 Internal Server Error"))
    text = service.client.get("/devices/discovered").get_data(as_text=True)
    assert "script" not in text
    assert "hunter2" not in text


def test_a_service_that_nobody_scrapes_lacks_nothing_when_somebody_does(testbed: Callable[..., Any]) -> None:
    """Prometheus comes and goes: nothing is kept for it, and its first scrape is whole."""
    service, fleet = testbed("2.12", "2.4", rounds=20)
    first = service.scrape()
    assert first.get_one("hardware_online") == 2
    assert all({"up", "hashrate_ghs", "power_watts"} <= first.of_device(miner.mac).keys() for miner in fleet)
    service.round(20)
    assert service.scrape().names() == first.names()
