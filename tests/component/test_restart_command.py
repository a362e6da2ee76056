"""Restarting a miner: the right one, once, and what its answer means."""

import gevent
import pytest
from fakes import Peer, eventually, reset

from app.models import Device
from simulator import GENERATIONS, Timings, swap

POST = ("POST", "/api/system/restart")
MAC = "02:00:5e:00:00:77"


def restart(service, miner):
    return service.client.post(f"/devices/{miner.mac}/system/restart")


@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_generation_restarts_and_comes_back(testbed, generation):
    service, (miner,) = testbed(generation)
    response = restart(service, miner)
    assert response.status_code == 200
    assert response.get_json()["message"] == "Device restarted successfully"
    said = response.get_json()["data"]
    assert said == "" or "restart" in said.lower()
    assert miner.requests[POST] == 1
    eventually(lambda: not miner.powered)
    eventually(lambda: miner.powered)
    service.round(3)
    assert service.status(miner.mac) == "online"
    assert service.scrape().get_one("pluto_device_restarts_total", mac=miner.mac) == 1


def test_a_connection_that_dies_after_the_request_is_success(testbed):
    """Defect 31: a miner often resets before it has answered; the original's client got a 500 for a success."""
    service, (miner,) = testbed("2.12")
    miner.set_fault("reset", method="POST")
    response = restart(service, miner)
    assert (response.status_code, response.get_json()["message"]) == (200, "Device restarted successfully")
    assert miner.requests[POST] == 1


def test_another_miner_at_the_address_gets_nothing(testbed):
    """Users of other tools saw edits and restarts hit the wrong miner."""
    service, (one, other) = testbed("2.12", "2.12")
    swap(one, other)
    response = restart(service, one)
    assert response.status_code == 409
    assert other.mac in response.get_json()["error"]
    assert one.requests[POST] == other.requests[POST] == 0
    assert not other.writes


@pytest.mark.parametrize("changed", [{"hostname": "another"}, {"board": "102"}])
def test_old_firmware_is_checked_by_what_it_does_report(testbed, make_fleet, tmp_path, changed):
    """Without a MAC and a neighbour table: hostname, ASICModel and boardVersion against its last reading."""
    service, (miner,) = testbed("2.1", neighbour_table=tmp_path / "none")
    assert restart(service, miner).status_code == 200
    service.clock.advance(20)
    where = miner.release_address()
    generation = "2.4" if "hostname" in changed else "2.1"
    (other,) = make_fleet({"generation": generation, "mac": "02:00:5e:00:0d:0d", "address": where, **changed})
    assert restart(service, miner).status_code == 409
    assert other.requests[POST] == 0


def test_once_in_ten_seconds(testbed):
    """Defect 31: nothing held back a storm of restarts."""
    service, (miner, other) = testbed("2.12", "2.12")
    assert restart(service, miner).status_code == 200
    again = restart(service, miner)
    assert again.status_code == 429
    assert 1 <= int(again.headers["Retry-After"]) <= 10
    assert restart(service, other).status_code == 200
    eventually(lambda: not miner.powered)
    eventually(lambda: miner.powered)
    service.clock.advance(10)
    assert restart(service, miner).status_code == 200
    assert miner.requests[POST] == 2


def test_two_callers_at_once_restart_it_once(testbed):
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
def test_what_is_wrong_with_the_miner_is_told(testbed, fault, status):
    service, (miner,) = testbed("2.12")
    miner.fault = fault
    response = restart(service, miner)
    body = response.get_json()
    assert (response.status_code, body["error"]) == (status, body["message"])
    assert miner.requests[POST] == 0


def test_a_500_to_the_restart_itself_is_502_with_what_the_miner_said(testbed):
    service, (miner,) = testbed("2.12")
    miner.set_fault("status_500", method="POST")
    response = restart(service, miner)
    assert response.status_code == 502
    assert response.get_json()["details"] == "Internal Server Error"


@pytest.mark.parametrize("fault", ["status_400", "status_401", "status_401_login", "redirect"])
def test_a_restart_that_the_miner_rejected_is_none(testbed, fault):
    service, (miner,) = testbed("2.12")
    miner.set_fault(fault, method="POST")
    assert restart(service, miner).status_code in (400, 401, 502)
    assert restart(service, miner).status_code in (400, 401, 502)
    assert service.runtime.fleet.get(miner.mac).restarting_until == 0
    miner.clear_fault()
    assert restart(service, miner).status_code == 200
    miner.set_fault("status_400", method="POST")
    assert restart(service, miner).status_code == 429


def test_a_rejected_restart_leaves_the_restart_before_it_as_it_was(testbed):
    service, (miner,) = testbed("2.12")
    assert restart(service, miner).status_code == 200
    eventually(lambda: not miner.powered)
    eventually(lambda: miner.powered)
    service.clock.advance(8)
    service.round(1)
    service.clock.advance(3)
    miner.set_fault("status_400", method="POST")
    assert restart(service, miner).status_code == 400
    miner.clear_fault()
    assert restart(service, miner).status_code == 200


@pytest.mark.parametrize("fault", ["status_500", "not_http", "hang"])
def test_a_restart_that_may_have_happened_counts(testbed, fault):
    service, (miner,) = testbed("2.12")
    miner.set_fault(fault, method="POST")
    assert restart(service, miner).status_code in (502, 504)
    assert restart(service, miner).status_code == 429
    assert service.runtime.fleet.get(miner.mac).restarting_until == 0  # if it is silent now, that is news


def test_a_restart_after_a_write_that_was_rejected_is_none(testbed):
    service, (miner,) = testbed("2.4")
    miner.set_fault("status_400", path="/api/system/restart")
    path = f"/devices/{miner.mac}/system"
    answer = service.client.patch(path, json={"info": {"flipscreen": 0}, "restart": True}).get_json()
    assert (answer["restarted"], answer["changes"][0]["status"]) == (False, "pending_restart")
    assert "The restart failed" in answer["changes"][0]["reason"]
    miner.clear_fault()
    assert restart(service, miner).status_code == 200


def test_a_device_without_an_address_is_400(service):
    service.runtime.fleet.keep([Device(MAC, "", created_at="2026-01-01T00:00:00.000Z")])
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
def test_what_the_miner_answered_is_passed_on_without_secrets(make_service, command, status, body, data):
    info = b'{"ASICModel":"BM1370","version":"v2.15.0","macAddr":"%b","hashRate":1,"pools":[]}' % MAC.encode()

    def script(opened):
        while request := peer.read_request(opened):
            answer = body if request.startswith(b"POST") else info
            code = status if request.startswith(b"POST") else 200
            opened.sendall(b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%b" % (code, len(answer), answer))

    with Peer(script) as peer:
        service = make_service(discovery_ports=(peer.port,), auto_listen=False)
        service.ok(
            service.client.put("/devices/imprint", json={"devices": [{"mac": MAC, "ip": f"127.0.0.1:{peer.port}"}]})
        )
        response = service.client.post(f"/devices/{MAC}/system/{command}")
        assert (response.status_code, response.get_json()["data"]) == (200, data)


def test_the_restart_goes_out_on_the_connection_on_which_the_mac_was_read(make_service):
    body = b'{"ASICModel":"BM1370","version":"v2.12.2","macAddr":"%b","hashRate":1}' % MAC.encode()
    info = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    lines = []

    def script(opened):
        connection = peer.accepted
        while request := peer.read_request(opened):
            line = request.split(b"\r\n")[0]
            lines.append((connection, line))
            if line.startswith(b"POST"):
                reset(opened)
                return
            opened.sendall(info)

    with Peer(script) as peer:
        service = make_service(discovery_ports=(peer.port,), auto_listen=False)
        service.ok(
            service.client.put("/devices/imprint", json={"devices": [{"mac": MAC, "ip": f"127.0.0.1:{peer.port}"}]})
        )
        assert service.client.post(f"/devices/{MAC}/system/restart").status_code == 200
    assert lines == [(1, b"GET /api/system/info HTTP/1.1"), (1, b"POST /api/system/restart HTTP/1.1")]
