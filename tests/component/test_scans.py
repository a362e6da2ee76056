"""Scans in the background with simulated miners, and the list of ignored miners."""

import gevent
import pytest
import socketio
from fakes import find_free_port, wait_until

from app.events import ScanUpdated
from simulator import mac_of

SCAN, IGNORED = "/devices/scan", "/devices/ignored"
A, B, C = map(mac_of, (1, 2, 3))


def scan_network(service):
    """Start a scan, wait for its end, and return its state."""
    assert service.client.post(SCAN).status_code == 202
    return wait_until(
        lambda: (state := service.read_data(service.client.get(SCAN)))["state"] in ("done", "failed") and state, 20
    )


def kinds_of(state):
    return {found["mac"]: found["kind"] for found in state["found"]}


def test_state_before_the_first_scan_is_idle(service):
    state = service.read_data(service.client.get(SCAN))
    assert (state["state"], state["found"], state["total"]) == ("idle", [], 0)
    assert set(state["counts"].values()) == {0}
    assert "startedAt" not in state


def test_scan_finds_new_registered_and_ignored_miners(make_fleet, make_service):
    fleet = make_fleet("2.12", "2.4", "nerd")
    service = make_service(fleet)
    service.imprint_miners(fleet[0])
    assert service.client.put(f"{IGNORED}/{B}").status_code == 200
    state = scan_network(service)
    assert kinds_of(state) == {A: "registered", B: "ignored", C: "new"}
    assert state["counts"] == {"new": 1, "moved": 0, "registered": 1, "ignored": 1, "noMac": 0}
    assert (state["state"], state["probed"], state["total"]) == ("done", 30, 30)
    assert state["startedAt"] <= state["finishedAt"]
    new = next(found for found in state["found"] if found["mac"] == C)
    assert (new["ip"], new["hostname"], new["title"]) == (str(fleet[2].address), "miner-3", "miner-3")
    assert (new["firmware"], new["model"]) == ("NerdOS", "NerdQAxe+")
    assert new["version"]
    assert new["hashrateGhs"] >= 0
    assert [device["mac"] for device in service.list_devices()] == [A]
    service.client.put("/devices/imprint", json={"macs": [C]})
    assert kinds_of(service.read_data(service.client.get(SCAN)))[C] == "registered"


def test_miner_at_another_address_has_moved(make_fleet, make_service):
    fleet = make_fleet("2.12")
    service = make_service(fleet, auto_listen=False)
    old = f"127.80.0.20:{fleet[0].server.address[1]}"
    service.client.put("/devices/imprint", json={"devices": [{"mac": A, "ip": old}]})
    (found,) = scan_network(service)["found"]
    assert (found["kind"], found["previousIp"], found["ip"]) == ("moved", old, str(fleet[0].address))


def test_miner_without_a_mac_is_found(make_fleet, make_service, tmp_path):
    fleet = make_fleet("2.1")
    (tmp_path / "arp").write_text("")
    (found,) = scan_network(make_service(fleet))["found"]
    assert (found["kind"], found["mac"]) == ("noMac", None)


def test_second_request_joins_the_running_scan(make_fleet, make_service):
    service = make_service(make_fleet("2.12"))
    first, second = (service.client.post(SCAN).get_json()["data"] for _ in range(2))
    assert (first["state"], second["state"]) == ("running", "running")
    assert first["startedAt"] == second["startedAt"]
    assert wait_until(lambda: service.read_data(service.client.get(SCAN))["state"] == "done", 20)


def test_progress_and_result_are_sent_to_clients(make_fleet, make_service, start_server):
    fleet = make_fleet("2.12", "2.12")
    fleet[1].set_fault("hang")  # the scan waits for it, so that there is progress
    service = make_service(fleet)
    updates = []
    client = socketio.Client(reconnection=False)
    client.on("scan_update", updates.append)
    client.connect(start_server(service), socketio_path="/socket/io")
    try:
        state = scan_network(service)
        wait_until(lambda: updates and updates[-1]["state"] == "done")
    finally:
        client.disconnect()
    running = [each for each in updates if each["state"] == "running"]
    assert [each["state"] for each in updates] == ["running"] * len(running) + ["done"]
    assert [found["mac"] for found in running[-1]["found"]] == [A]
    assert (running[-1]["probed"], running[-1]["total"]) == (29, 30)
    assert updates[-1] == state


def test_failed_discovery_service_is_reported(make_service):
    service = make_service(discovery_service_host=f"http://127.0.0.1:{find_free_port()}")
    state = scan_network(service)
    assert state["state"] == "failed"
    assert "discovery service" in state["error"]


class TestIgnoredMiners:
    def test_entry_stays_over_a_restart_and_has_what_was_seen(self, make_fleet, make_service):
        fleet = make_fleet("2.12")
        service = make_service(fleet)
        scan_network(service)
        entry = service.read_data(service.client.put(f"{IGNORED}/{A.upper()}"))
        assert (entry["mac"], entry["hostname"], entry["ip"]) == (A, "miner-1", str(fleet[0].address))
        assert service.read_data(service.client.put(f"{IGNORED}/{A}")) == entry
        service.stop()
        service = make_service(fleet)
        assert service.read_data(service.client.get(IGNORED)) == [entry]
        assert kinds_of(scan_network(service)) == {A: "ignored"}
        assert [found["mac"] for found in service.client.get("/devices/discover").get_json()] == [A]
        assert service.read_data(service.client.delete(f"{IGNORED}/{A}")) == entry
        assert kinds_of(service.read_data(service.client.get(SCAN))) == {A: "new"}

    def test_registration_ends_the_entry(self, make_fleet, make_service):
        fleet = make_fleet("2.12")
        service = make_service(fleet)
        service.client.put(f"{IGNORED}/{A}")
        service.client.put(f"{IGNORED}/{B}")
        service.imprint_miners(*fleet)
        assert [entry["mac"] for entry in service.read_data(service.client.get(IGNORED))] == [B]
        service.client.delete(f"/devices/imprint/{A}")
        assert kinds_of(scan_network(service)) == {A: "new"}

    @pytest.mark.parametrize("mac", ["nothing", "02:00:5e"])
    def test_text_that_is_no_mac_is_invalid(self, service, mac):
        assert service.client.put(f"{IGNORED}/{mac}").status_code == 400
        assert service.client.delete(f"{IGNORED}/{mac}").status_code == 404

    def test_registered_device_cannot_be_ignored(self, service):
        service.client.put("/devices/imprint", json={"devices": [{"mac": A, "ip": "127.80.0.9"}]})
        answer = service.client.put(f"{IGNORED}/{A}")
        assert (answer.status_code, answer.get_json()["details"]) == (400, {"mac": ["Is registered."]})
        assert service.read_data(service.client.get(IGNORED)) == []


def test_stop_ends_a_scan(make_fleet, make_service):
    fleet = make_fleet("2.12")
    fleet[0].set_fault("hang")
    service, states = make_service(fleet), []
    service.runtime.events.subscribe(ScanUpdated, lambda event: states.append(event.state.status))
    service.client.post(SCAN)
    wait_until(lambda: states)
    service.stop()
    ended = len(states)
    gevent.sleep(1)
    assert states == ["running"] * ended
