"""Rate limits: 429 as JSON with Retry-After for the client that exceeds them, and for no other client."""

import socket
from ipaddress import ip_network

import pytest

MAC = "02:00:5e:00:00:01"


def put_listen(service, **headers):
    return service.client.put("/devices/listen", json={"macs": []}, headers=headers)


def count_burst(service, **headers):
    """Return the number of writes that pass at once, and the response to the next one."""
    for count in range(100_000):
        response = put_listen(service, **headers)
        if response.status_code == 429:
            return count, response
    raise AssertionError("no limit")


def read_retry_after(response):
    assert response.status_code == 429
    assert response.content_type == "application/json"
    assert response.get_json()["error"] == response.get_json()["message"]
    return int(response.headers["Retry-After"])


@pytest.fixture
def service(make_service, clock):
    return make_service(clock=clock)


def test_writes_allow_burst_and_then_ten_per_second(service, clock):
    count, response = count_burst(service)
    assert (count, read_retry_after(response)) == (200, 1)
    clock.advance(1)
    assert count_burst(service)[0] == 10
    clock.advance(3)
    assert count_burst(service)[0] == 30


def test_every_writing_route_is_limited(service):
    count_burst(service)
    for method, path in (
        ("POST", "/presets"),
        ("DELETE", f"/devices/imprint/{MAC}"),
        ("PATCH", f"/devices/{MAC}/system"),
    ):
        assert read_retry_after(service.client.open(path, method=method)) >= 1


def test_reads_are_not_limited(service):
    count_burst(service)
    for path in ("/devices/imprint", "/metrics", "/healthz"):
        assert {service.client.get(path).status_code for _ in range(220)} == {200}


def test_engine_io_requests_do_not_count_as_writes(service):
    count_burst(service)
    path = "/socket/io/?EIO=4&transport=polling&sid=unknown"
    assert {service.client.post(path, data=b"40").status_code for _ in range(20)} == {400}


def test_limit_grows_by_two_writes_per_known_miner(make_fleet, make_service, clock):
    """The frontend registers each miner with its own request, and restarts all of them at once."""
    fleet = make_fleet(*["2.12"] * 12, clock=clock.monotonic)
    service = make_service(fleet, clock=clock, auto_listen=False)
    devices = [{"mac": f"02:00:5e:01:00:{number:02x}", "ip": f"127.80.1.{number}"} for number in range(150)]
    service.read_data(service.client.put("/devices/imprint", json={"devices": devices}))
    assert count_burst(service)[0] == 2 * 150 - 1
    assert len(service.read_data(service.client.get("/devices/discover"))) == 12
    assert count_burst(service)[0] == 2 * 12


def test_limit_is_configurable(make_service, clock):
    assert count_burst(make_service(clock=clock, writes_per_second=400))[0] == 800


def test_flooding_client_does_not_use_limit_of_others(make_service, clock):
    service = make_service(clock=clock, trusted_proxies=(ip_network("127.0.0.1"),))
    count_burst(service, **{"X-Forwarded-For": "192.168.1.9"})
    assert put_listen(service, **{"X-Forwarded-For": "192.168.1.8"}).status_code == 200
    assert put_listen(service, **{"X-Forwarded-For": "192.168.1.8, 192.168.1.9"}).status_code == 429


def test_forwarded_header_of_untrusted_peer_is_ignored_by_limit(service):
    for number in range(200):
        assert put_listen(service, **{"X-Forwarded-For": f"10.0.0.{number}"}).status_code == 200
    assert read_retry_after(put_listen(service, **{"X-Forwarded-For": "10.0.1.1"})) == 1


def test_restarts_of_one_device_are_limited(testbed):
    service, (miner,) = testbed("2.12")
    assert service.client.post(f"/devices/{miner.mac}/system/restart").status_code == 200
    assert 1 <= read_retry_after(service.client.post(f"/devices/{miner.mac}/system/restart")) <= 10


def test_limited_write_is_rejected_before_body_is_read(service, start_server):
    count_burst(service)
    host, port = start_server(service).removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 5) as sock:
        sock.sendall(b"PUT /devices/listen HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n")
        assert sock.recv(4096).startswith(b"HTTP/1.1 429 ")
