"""How often one may: 429 as JSON with Retry-After, for whoever does too much, and for nobody else."""

import socket
from ipaddress import ip_network

import pytest

MAC = "02:00:5e:00:00:01"


def write(service, **headers):
    return service.client.put("/devices/listen", json={"macs": []}, headers=headers)


def burst(service, **headers):
    """How many writes pass at once, and the answer to the next."""
    for count in range(100_000):
        answer = write(service, **headers)
        if answer.status_code == 429:
            return count, answer
    raise AssertionError("no limit")


def too_many(answer):
    assert answer.status_code == 429
    assert answer.content_type == "application/json"
    assert answer.get_json()["error"] == answer.get_json()["message"]
    return int(answer.headers["Retry-After"])


@pytest.fixture
def service(make_service, clock):
    return make_service(clock=clock)


def test_writes_a_burst_and_then_ten_a_second(service, clock):
    count, answer = burst(service)
    assert (count, too_many(answer)) == (200, 1)
    clock.advance(1)
    assert burst(service)[0] == 10
    clock.advance(3)
    assert burst(service)[0] == 30


def test_every_route_that_changes_something_is_counted(service):
    burst(service)
    for method, path in (
        ("POST", "/presets"),
        ("DELETE", f"/devices/imprint/{MAC}"),
        ("PATCH", f"/devices/{MAC}/system"),
    ):
        assert too_many(service.client.open(path, method=method)) >= 1


def test_reading_is_not_limited(service):
    burst(service)
    for path in ("/devices/imprint", "/metrics", "/healthz"):
        assert {service.client.get(path).status_code for _ in range(220)} == {200}


def test_engine_io_requests_do_not_count_as_writes(service):
    burst(service)
    path = "/socket/io/?EIO=4&transport=polling&sid=unknown"
    assert {service.client.post(path, data=b"40").status_code for _ in range(20)} == {400}


def test_two_writes_for_each_miner_that_is_imprinted_or_was_found(make_fleet, make_service, clock):
    """The frontend adds each with a request of its own, and restarts all at once."""
    fleet = make_fleet(*["2.12"] * 12, clock=clock.monotonic)
    service = make_service(fleet, clock=clock, auto_listen=False)
    devices = [{"mac": f"02:00:5e:01:00:{number:02x}", "ip": f"127.80.1.{number}"} for number in range(150)]
    service.ok(service.client.put("/devices/imprint", json={"devices": devices}))
    assert burst(service)[0] == 2 * 150 - 1
    assert len(service.ok(service.client.get("/devices/discover"))) == 12
    assert burst(service)[0] == 2 * 12


def test_who_wants_more_may_have_more(make_service, clock):
    assert burst(make_service(clock=clock, writes_per_second=400))[0] == 800


def test_one_who_floods_does_not_take_from_the_others(make_service, clock):
    service = make_service(clock=clock, trusted_proxies=(ip_network("127.0.0.1"),))
    burst(service, **{"X-Forwarded-For": "192.168.1.9"})
    assert write(service, **{"X-Forwarded-For": "192.168.1.8"}).status_code == 200
    assert write(service, **{"X-Forwarded-For": "192.168.1.8, 192.168.1.9"}).status_code == 429


def test_who_is_not_trusted_cannot_be_somebody_else_each_time(service):
    for number in range(200):
        assert write(service, **{"X-Forwarded-For": f"10.0.0.{number}"}).status_code == 200
    assert too_many(write(service, **{"X-Forwarded-For": "10.0.1.1"})) == 1


def test_restarts_of_one_device(testbed):
    service, (miner,) = testbed("2.12")
    assert service.client.post(f"/devices/{miner.mac}/system/restart").status_code == 200
    assert 1 <= too_many(service.client.post(f"/devices/{miner.mac}/system/restart")) <= 10


def test_a_flood_of_writes_with_large_bodies_is_refused_before_they_are_read(service, serve):
    burst(service)
    host, port = serve(service).removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 5) as sock:
        sock.sendall(b"PUT /devices/listen HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n")
        assert sock.recv(4096).startswith(b"HTTP/1.1 429 ")
