"""The restart command: it reaches the right miner once, and the miner's answer is interpreted correctly."""

import gevent
import pytest
from fakes import ScriptedServer, reset_connection, wait_until

from app.models import Device
from simulator import GENERATIONS, Timings, swap

POST = ("POST", "/api/system/restart")
MAC = "02:00:5e:00:00:77"


def send_restart(service, miner):
    return service.client.post(f"/devices/{miner.mac}/system/restart")


@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_generation_restarts_and_returns_online(testbed, generation):
    service, (miner,) = testbed(generation)
    response = send_restart(service, miner)
    assert response.status_code == 200
    assert response.get_json()["message"] == "Device restarted successfully"
    text = response.get_json()["data"]
    assert text == "" or "restart" in text.lower()
    assert miner.requests[POST] == 1
    wait_until(lambda: not miner.powered)
    wait_until(lambda: miner.powered)
    service.run_polls(3)
    assert service.get_status(miner.mac) == "online"
    assert service.scrape_metrics().get_value("pluto_device_restarts_total", mac=miner.mac) == 1


def test_connection_reset_after_request_is_success(testbed):
    """Defect 31: a miner often resets the connection before it answers; the Node backend returned a 500 for a
    success."""
    service, (miner,) = testbed("2.12")
    miner.set_fault("reset", method="POST")
    response = send_restart(service, miner)
    assert (response.status_code, response.get_json()["message"]) == (200, "Device restarted successfully")
    assert miner.requests[POST] == 1


def test_restart_is_not_sent_to_other_miner_at_address(testbed):
    """Users of other tools reported edits and restarts of the wrong miner."""
    service, (one, other) = testbed("2.12", "2.12")
    swap(one, other)
    response = send_restart(service, one)
    assert response.status_code == 409
    assert other.mac in response.get_json()["error"]
    assert one.requests[POST] == other.requests[POST] == 0
    assert not other.writes


@pytest.mark.parametrize("changed", [{"hostname": "another"}, {"board": "102"}])
def test_old_firmware_without_mac_is_verified_by_its_other_fields(testbed, make_fleet, tmp_path, changed):
    """Without a MAC and a neighbour table, hostname, ASICModel and boardVersion are compared with the last reading."""
    service, (miner,) = testbed("2.1", neighbour_table=tmp_path / "none")
    assert send_restart(service, miner).status_code == 200
    service.clock.advance(20)
    address = miner.release_address()
    generation = "2.4" if "hostname" in changed else "2.1"
    (other,) = make_fleet({"generation": generation, "mac": "02:00:5e:00:0d:0d", "address": address, **changed})
    assert send_restart(service, miner).status_code == 409
    assert other.requests[POST] == 0


def test_restart_is_limited_to_once_in_ten_seconds(testbed):
    """Defect 31: the rate of restarts was not limited."""
    service, (miner, other) = testbed("2.12", "2.12")
    assert send_restart(service, miner).status_code == 200
    again = send_restart(service, miner)
    assert again.status_code == 429
    assert 1 <= int(again.headers["Retry-After"]) <= 10
    assert send_restart(service, other).status_code == 200
    wait_until(lambda: not miner.powered)
    wait_until(lambda: miner.powered)
    service.clock.advance(10)
    assert send_restart(service, miner).status_code == 200
    assert miner.requests[POST] == 2


def test_concurrent_restart_requests_restart_once(testbed):
    service, (miner,) = testbed("2.12", timings=Timings(latency=0.05, before_restart=0.5, boot=0.5))
    calls = [gevent.spawn(service.app.test_client().post, f"/devices/{miner.mac}/system/restart") for _ in range(3)]
    gevent.joinall(calls, timeout=10, raise_error=True)
    assert sorted(call.value.status_code for call in calls) == [200, 429, 429]
    assert miner.requests[POST] == 1


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("refuse", 502),
        ("status_500", 502),
        ("status_401", 401),
        ("status_401_login", 401),
        ("redirect", 502),
        ("html", 502),
        ("hang", 504),
    ],
)
def test_fault_of_miner_is_mapped_to_status(testbed, fault, status):
    service, (miner,) = testbed("2.12")
    miner.fault = fault
    response = send_restart(service, miner)
    body = response.get_json()
    assert (response.status_code, body["error"]) == (status, body["message"])
    assert miner.requests[POST] == 0


def test_status_500_to_restart_is_502_with_text_of_miner(testbed):
    service, (miner,) = testbed("2.12")
    miner.set_fault("status_500", method="POST")
    response = send_restart(service, miner)
    assert response.status_code == 502
    assert response.get_json()["details"] == "Internal Server Error"


@pytest.mark.parametrize("fault", ["status_400", "status_401", "status_401_login", "redirect"])
def test_rejected_restart_does_not_count_against_limit(testbed, fault):
    service, (miner,) = testbed("2.12")
    miner.set_fault(fault, method="POST")
    assert send_restart(service, miner).status_code in (400, 401, 502)
    assert send_restart(service, miner).status_code in (400, 401, 502)
    assert service.runtime.fleet.get_device(miner.mac).restarting_until == 0
    miner.clear_fault()
    assert send_restart(service, miner).status_code == 200
    miner.set_fault("status_400", method="POST")
    assert send_restart(service, miner).status_code == 429


def test_rejected_restart_keeps_time_of_previous_restart(testbed):
    service, (miner,) = testbed("2.12")
    assert send_restart(service, miner).status_code == 200
    wait_until(lambda: not miner.powered)
    wait_until(lambda: miner.powered)
    service.clock.advance(8)
    service.run_polls(1)
    service.clock.advance(3)
    miner.set_fault("status_400", method="POST")
    assert send_restart(service, miner).status_code == 400
    miner.clear_fault()
    assert send_restart(service, miner).status_code == 200


@pytest.mark.parametrize("fault", ["status_500", "not_http", "hang"])
def test_restart_with_unknown_outcome_counts_against_limit(testbed, fault):
    service, (miner,) = testbed("2.12")
    miner.set_fault(fault, method="POST")
    assert send_restart(service, miner).status_code in (502, 504)
    assert send_restart(service, miner).status_code == 429
    assert service.runtime.fleet.get_device(miner.mac).restarting_until == 0  # a silent miner is reported as usual


def test_rejected_restart_after_write_does_not_count_against_limit(testbed):
    service, (miner,) = testbed("2.4")
    miner.set_fault("status_400", path="/api/system/restart")
    path = f"/devices/{miner.mac}/system"
    body = service.client.patch(path, json={"info": {"flipscreen": 0}, "restart": True}).get_json()
    assert (body["restarted"], body["changes"][0]["status"]) == (False, "pending_restart")
    assert "The restart failed" in body["changes"][0]["reason"]
    miner.clear_fault()
    assert send_restart(service, miner).status_code == 200


def test_restart_of_device_without_address_is_rejected(service):
    service.runtime.fleet.save_devices([Device(MAC, "", created_at="2026-01-01T00:00:00.000Z")])
    response = service.client.post(f"/devices/{MAC}/system/restart")
    assert (response.status_code, response.get_json()["error"]) == (400, "Device IP not available")


@pytest.mark.parametrize(
    ("status", "body", "data"),
    [
        (202, b'{"ok":true,"queued":1}', {"ok": True, "queued": 1}),
        (200, b'{"message":"System will restart shortly."}', "System will restart shortly."),
        (200, b'{"message":5,"ok":false}', {"message": 5, "ok": False}),
        (200, b"System will restart shortly.", "System will restart shortly."),
        (200, b'["ok",1]', ["ok", 1]),
        (200, b'"ok"', "ok"),
        (200, b"null", None),
        (200, b"", ""),
        (200, b'{"ok":true,"token":"hunter2","more":{"wifiPass":"hunter2"}}', {"ok": True, "more": {}}),
        (200, b'{"note":"Wifi password: hunter2"}', {"note": "Wifi password: [redacted]"}),
        (200, b"[" * 200 + b"]" * 200, "[" * 200),
        (200, b'{"ok":"%b"}' % (b"x" * 5000), '{"ok":"' + "x" * 193),
    ],
)
@pytest.mark.parametrize("command", ["restart", "identify", "pause", "resume"])
def test_answer_of_miner_is_returned_without_secrets(make_service, command, status, body, data):
    info = b'{"ASICModel":"BM1370","version":"v2.15.0","macAddr":"%b","hashRate":1,"pools":[]}' % MAC.encode()

    def respond(opened):
        while request := peer.read_request(opened):
            answer = body if request.startswith(b"POST") else info
            code = status if request.startswith(b"POST") else 200
            opened.sendall(b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%b" % (code, len(answer), answer))

    with ScriptedServer(respond) as peer:
        service = make_service(discovery_ports=(peer.port,), auto_listen=False)
        service.read_data(
            service.client.put("/devices/imprint", json={"devices": [{"mac": MAC, "ip": f"127.0.0.1:{peer.port}"}]})
        )
        response = service.client.post(f"/devices/{MAC}/system/{command}")
        assert (response.status_code, response.get_json()["data"]) == (200, data)


def test_restart_uses_connection_on_which_mac_was_verified(make_service):
    body = b'{"ASICModel":"BM1370","version":"v2.12.2","macAddr":"%b","hashRate":1}' % MAC.encode()
    info = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    lines = []

    def respond(opened):
        connection = peer.accepted
        while request := peer.read_request(opened):
            line = request.split(b"\r\n")[0]
            lines.append((connection, line))
            if line.startswith(b"POST"):
                reset_connection(opened)
                return
            opened.sendall(info)

    with ScriptedServer(respond) as peer:
        service = make_service(discovery_ports=(peer.port,), auto_listen=False)
        service.read_data(
            service.client.put("/devices/imprint", json={"devices": [{"mac": MAC, "ip": f"127.0.0.1:{peer.port}"}]})
        )
        assert service.client.post(f"/devices/{MAC}/system/restart").status_code == 200
    assert lines == [(1, b"GET /api/system/info HTTP/1.1"), (1, b"POST /api/system/restart HTTP/1.1")]
