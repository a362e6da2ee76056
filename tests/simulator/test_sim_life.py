"""Restart, power, pause, overheating, faults of state."""

from __future__ import annotations

import pytest
import requests
from gevent import socket
from sim_helpers import FakeClock, Start, endpoint, url, wait_for

ANSWERS = [
    ("2.1", "text/html", "System will restart shortly."),
    ("2.12", "text/html", "System will restart shortly."),
    ("2.15", "application/json", '{"message":"System will restart shortly."}'),
    ("nerd", "text/plain", "System will restart shortly."),
]


@pytest.mark.parametrize(("generation", "kind", "text"), ANSWERS)
def test_restart(start: Start, http: requests.Session, generation: str, kind: str, text: str) -> None:
    miner = start(generation)
    address = miner.address
    assert miner.read_info()["uptimeSeconds"] > 500
    assert miner.read_info()["sharesAccepted"] > 0
    best = miner.read_info()["bestDiff"]
    idle = socket.create_connection(endpoint(miner))
    reply = http.post(url(miner, "/api/system/restart"))
    assert (reply.status_code, reply.headers["Content-Type"], reply.text) == (200, kind, text)
    wait_for(lambda: not miner.powered)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(endpoint(miner))
    with pytest.raises(ConnectionResetError):
        idle.recv(1)
    wait_for(lambda: miner.powered)
    after = http.get(url(miner)).json()
    assert miner.address == address
    assert (after["uptimeSeconds"], after["sharesAccepted"], after["sharesRejected"]) == (0, 0, 0)
    assert after["hashRate"] == 0
    assert after["bestDiff"] == best


@pytest.mark.parametrize("generation", ["2.1", "2.10"])
def test_old_firmware_estimates_its_rate_from_shares(start: Start, clock: FakeClock, generation: str) -> None:
    """0 until the first share after boot."""
    miner = start(generation, clock=clock)
    miner.restart()
    wait_for(lambda: miner.boots == 1)
    clock.tick(1)
    assert (miner.read_info()["sharesAccepted"], miner.read_info()["hashRate"]) == (0, 0)
    clock.tick(600)
    info = miner.read_info()
    assert info["sharesAccepted"] > 0
    assert 300 < info["hashRate"] < 1500


def test_shares_arrive_at_the_rate_of_the_hashing(start: Start, clock: FakeClock) -> None:
    miner = start("2.12", clock=clock)
    before = miner.read_info()
    clock.tick(50_000)
    after = miner.read_info()
    found = after["sharesAccepted"] + after["sharesRejected"] - before["sharesAccepted"] - before["sharesRejected"]
    expected = 50_000 * 1071e9 / (before["poolDifficulty"] * 2**32)
    assert found == pytest.approx(expected, rel=0.1)
    assert after["uptimeSeconds"] == before["uptimeSeconds"] + 50_000
    assert after["bestDiff"] >= before["bestDiff"]


def test_power_and_heat_follow_the_settings(start: Start, http: requests.Session, clock: FakeClock) -> None:
    """Power goes with frequency × voltage²; the fan holds the target until it is at its end."""
    miner = start("2.12", clock=clock)
    before = miner.read_info()
    http.patch(url(miner, "/api/system"), json={"frequency": 625, "coreVoltage": 1250})
    clock.tick(1)
    miner.update_state()
    clock.tick(200)
    after = miner.read_info()
    assert (after["power"] - 5) / (before["power"] - 5) == pytest.approx(625 / 525 * (1250 / 1150) ** 2, rel=0.05)
    assert after["hashRate"] == pytest.approx(1275, rel=0.05)
    assert after["fanspeed"] > before["fanspeed"] + 10
    assert after["temp"] == pytest.approx(60, abs=1.5)
    http.patch(url(miner, "/api/system"), json={"autofanspeed": 0, "manualFanSpeed": 100})
    clock.tick(1)
    miner.update_state()
    clock.tick(200)
    assert miner.read_info()["temp"] < after["temp"] - 3


def test_a_silent_restart_says_nothing(start: Start) -> None:
    """The TCP connection just dies: no FIN, no RST, until the device is back."""
    miner = start("2.12")
    sock = socket.create_connection(endpoint(miner))
    wait_for(lambda: miner.connections_open == 1)
    miner.restart(silent=True)
    wait_for(lambda: not miner.powered)
    sock.settimeout(0.05)
    with pytest.raises(TimeoutError):
        sock.recv(1)
    wait_for(lambda: miner.powered)
    sock.settimeout(1)
    with pytest.raises(ConnectionResetError):
        sock.recv(1)


def test_power(start: Start, http: requests.Session) -> None:
    miner = start("2.12")
    miner.power_off()
    with pytest.raises(requests.ConnectionError):
        http.get(url(miner))
    miner.power_on()
    assert http.get(url(miner)).json()["resetReason"] == "Power on reset"


def test_pause_and_resume(start: Start, http: requests.Session, clock: FakeClock) -> None:
    miner = start("2.15", clock=clock)
    assert http.post(url(miner, "/api/system/pause")).json() == {"message": "Mining paused"}
    info = miner.read_info()
    assert (info["miningPaused"], info["hashRate"], info["temp"], info["expectedHashrate"]) == (
        True,
        0,
        -1,
        0,
    )
    assert 4 < info["power"] < 6
    assert http.post(url(miner, "/api/system/resume")).json() == {"message": "Mining resumed"}
    assert miner.read_info()["hashRate"] == 0
    clock.tick(1)
    assert miner.read_info()["hashRate"] > 1000


def test_pause_is_lost_at_a_reboot(start: Start, http: requests.Session) -> None:
    miner = start("2.15")
    http.post(url(miner, "/api/system/pause"))
    miner.restart()
    wait_for(lambda: miner.boots == 1 and miner.read_info()["hashRate"] > 0)
    assert miner.read_info()["miningPaused"] is False


def test_identify_toggles(start: Start, http: requests.Session) -> None:
    miner = start("2.12")
    for expected in (True, False, True):
        assert http.post(url(miner, "/api/system/identify")).status_code == 200
        assert miner.identifying is expected
    assert http.post(url(start("2.10"), "/api/system/identify")).status_code == 405


def test_old_firmware_latches_when_it_overheats(start: Start, http: requests.Session) -> None:
    miner = start("2.7")
    miner.fault = "overheat"
    wait_for(lambda: miner.boots == 1)
    miner.clear_fault()
    wanted = {"frequency": 50, "coreVoltage": 1000, "overheat_mode": 1, "autofanspeed": 0}
    assert {key: miner.read_info()[key] for key in wanted} == wanted
    http.patch(url(miner, "/api/system"), json={"overheat_mode": 0, "frequency": 525, "coreVoltage": 1150})
    assert (miner.read_info()["overheat_mode"], miner.read_info()["frequency"]) == (0, 525)


def test_new_firmware_recovers_with_less(start: Start, clock: FakeClock) -> None:
    miner = start("2.12", clock=clock)
    miner.fault = "overheat"
    during = miner.read_info()
    assert (during["overheat_mode"], during["hashRate"], during["temp"]) == (1, 0, -1)
    clock.tick(1)
    after = miner.read_info()
    wanted = {
        "frequency": 425,
        "coreVoltage": 1050,
        "overheat_mode": 0,
        "autofanspeed": 0,
        "manualFanSpeed": 100,
    }
    assert {key: after[key] for key in wanted} == wanted
    assert after["hashRate"] > 500
    clock.tick(300)
    assert miner.read_info()["frequency"] == 425


def test_too_much_voltage_overheats_by_itself(start: Start, http: requests.Session, clock: FakeClock) -> None:
    miner = start("2.12", clock=clock)
    http.patch(url(miner, "/api/system"), json={"frequency": 1000, "coreVoltage": 1400})
    clock.tick(1)
    assert miner.read_info()["overheat_mode"] == 0
    clock.tick(120)
    assert miner.read_info()["overheat_mode"] == 1


def test_faults_of_state(start: Start) -> None:
    miner = start("2.15")
    miner.set_fault("power_fault", text="Regulator off")
    assert miner.read_info()["power_fault"] == "Regulator off"
    miner.fault = "pools_down"
    info = miner.read_info()
    assert "power_fault" not in info
    assert (info["hashRate"], info["miningPaused"], info["poolConnectionInfo"]) == (0, False, "Not Connected")
    miner.fault = "hostname"
    assert miner.read_info()["hostname"] == "bitaxe-0000"
    miner.fault = None
    assert miner.read_info()["hostname"] == "bitaxe"
