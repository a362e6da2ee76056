"""Tests of restart, power, pause, overheating and faults that change the state."""

from __future__ import annotations

import pytest
import requests
from gevent import socket
from sim_helpers import FakeClock, StartMiner, make_url, parse_endpoint, wait_until

ANSWERS = [
    ("2.1", "text/html", "System will restart shortly."),
    ("2.12", "text/html", "System will restart shortly."),
    ("2.15", "application/json", '{"message":"System will restart shortly."}'),
    ("nerd", "text/plain", "System will restart shortly."),
]


@pytest.mark.parametrize(("generation", "kind", "text"), ANSWERS)
def test_restart_command_resets_counters_and_keeps_best(
    start_miner: StartMiner, session: requests.Session, generation: str, kind: str, text: str
) -> None:
    miner = start_miner(generation)
    address = miner.address
    assert miner.read_info()["uptimeSeconds"] > 500
    assert miner.read_info()["sharesAccepted"] > 0
    best = miner.read_info()["bestDiff"]
    idle = socket.create_connection(parse_endpoint(miner))
    reply = session.post(make_url(miner, "/api/system/restart"))
    assert (reply.status_code, reply.headers["Content-Type"], reply.text) == (200, kind, text)
    wait_until(lambda: not miner.powered)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(parse_endpoint(miner))
    with pytest.raises(ConnectionResetError):
        idle.recv(1)
    wait_until(lambda: miner.powered)
    after = session.get(make_url(miner)).json()
    assert miner.address == address
    assert (after["uptimeSeconds"], after["sharesAccepted"], after["sharesRejected"]) == (0, 0, 0)
    assert after["hashRate"] == 0
    assert after["bestDiff"] == best


@pytest.mark.parametrize("generation", ["2.1", "2.10"])
def test_old_firmware_estimates_hash_rate_from_shares(
    start_miner: StartMiner, clock: FakeClock, generation: str
) -> None:
    """The hash rate is 0 until the first share after a boot."""
    miner = start_miner(generation, clock=clock)
    miner.restart()
    wait_until(lambda: miner.boots == 1)
    clock.advance(1)
    assert (miner.read_info()["sharesAccepted"], miner.read_info()["hashRate"]) == (0, 0)
    clock.advance(600)
    info = miner.read_info()
    assert info["sharesAccepted"] > 0
    assert 300 < info["hashRate"] < 1500


def test_share_rate_follows_hash_rate(start_miner: StartMiner, clock: FakeClock) -> None:
    miner = start_miner("2.12", clock=clock)
    before = miner.read_info()
    clock.advance(50_000)
    after = miner.read_info()
    found = after["sharesAccepted"] + after["sharesRejected"] - before["sharesAccepted"] - before["sharesRejected"]
    expected = 50_000 * 1071e9 / (before["poolDifficulty"] * 2**32)
    assert found == pytest.approx(expected, rel=0.1)
    assert after["uptimeSeconds"] == before["uptimeSeconds"] + 50_000
    assert after["bestDiff"] >= before["bestDiff"]


def test_power_and_heat_follow_settings(start_miner: StartMiner, session: requests.Session, clock: FakeClock) -> None:
    """Power is proportional to frequency × voltage²; the fan keeps the target temperature up to its full speed."""
    miner = start_miner("2.12", clock=clock)
    before = miner.read_info()
    session.patch(make_url(miner, "/api/system"), json={"frequency": 625, "coreVoltage": 1250})
    clock.advance(1)
    miner.update_state()
    clock.advance(200)
    after = miner.read_info()
    assert (after["power"] - 5) / (before["power"] - 5) == pytest.approx(625 / 525 * (1250 / 1150) ** 2, rel=0.05)
    assert after["hashRate"] == pytest.approx(1275, rel=0.05)
    assert after["fanspeed"] > before["fanspeed"] + 10
    assert after["temp"] == pytest.approx(60, abs=1.5)
    session.patch(make_url(miner, "/api/system"), json={"autofanspeed": 0, "manualFanSpeed": 100})
    clock.advance(1)
    miner.update_state()
    clock.advance(200)
    assert miner.read_info()["temp"] < after["temp"] - 3


def test_silent_restart_sends_no_fin_and_no_rst(start_miner: StartMiner) -> None:
    """The TCP connection receives no FIN and no RST until the device has restarted."""
    miner = start_miner("2.12")
    sock = socket.create_connection(parse_endpoint(miner))
    wait_until(lambda: miner.connections_open == 1)
    miner.restart(silent=True)
    wait_until(lambda: not miner.powered)
    sock.settimeout(0.05)
    with pytest.raises(TimeoutError):
        sock.recv(1)
    wait_until(lambda: miner.powered)
    sock.settimeout(1)
    with pytest.raises(ConnectionResetError):
        sock.recv(1)


def test_power_off_refuses_connections_and_power_on_boots(start_miner: StartMiner, session: requests.Session) -> None:
    miner = start_miner("2.12")
    miner.power_off()
    with pytest.raises(requests.ConnectionError):
        session.get(make_url(miner))
    miner.power_on()
    assert session.get(make_url(miner)).json()["resetReason"] == "Power on reset"


def test_pause_and_resume_change_readings(start_miner: StartMiner, session: requests.Session, clock: FakeClock) -> None:
    miner = start_miner("2.15", clock=clock)
    assert session.post(make_url(miner, "/api/system/pause")).json() == {"message": "Mining paused"}
    info = miner.read_info()
    assert (info["miningPaused"], info["hashRate"], info["temp"], info["expectedHashrate"]) == (
        True,
        0,
        -1,
        0,
    )
    assert 4 < info["power"] < 6
    assert session.post(make_url(miner, "/api/system/resume")).json() == {"message": "Mining resumed"}
    assert miner.read_info()["hashRate"] == 0
    clock.advance(1)
    assert miner.read_info()["hashRate"] > 1000


def test_restart_clears_pause(start_miner: StartMiner, session: requests.Session) -> None:
    miner = start_miner("2.15")
    session.post(make_url(miner, "/api/system/pause"))
    miner.restart()
    wait_until(lambda: miner.boots == 1 and miner.read_info()["hashRate"] > 0)
    assert miner.read_info()["miningPaused"] is False


def test_identify_toggles_and_is_missing_before_2_12(start_miner: StartMiner, session: requests.Session) -> None:
    miner = start_miner("2.12")
    for expected in (True, False, True):
        assert session.post(make_url(miner, "/api/system/identify")).status_code == 200
        assert miner.identifying is expected
    assert session.post(make_url(start_miner("2.10"), "/api/system/identify")).status_code == 405


def test_old_firmware_latches_overheat_mode(start_miner: StartMiner, session: requests.Session) -> None:
    miner = start_miner("2.7")
    miner.fault = "overheat"
    wait_until(lambda: miner.boots == 1)
    miner.clear_fault()
    wanted = {"frequency": 50, "coreVoltage": 1000, "overheat_mode": 1, "autofanspeed": 0}
    assert {key: miner.read_info()[key] for key in wanted} == wanted
    session.patch(make_url(miner, "/api/system"), json={"overheat_mode": 0, "frequency": 525, "coreVoltage": 1150})
    assert (miner.read_info()["overheat_mode"], miner.read_info()["frequency"]) == (0, 525)


def test_new_firmware_recovers_with_lower_settings(start_miner: StartMiner, clock: FakeClock) -> None:
    miner = start_miner("2.12", clock=clock)
    miner.fault = "overheat"
    during = miner.read_info()
    assert (during["overheat_mode"], during["hashRate"], during["temp"]) == (1, 0, -1)
    clock.advance(1)
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
    clock.advance(300)
    assert miner.read_info()["frequency"] == 425


def test_high_voltage_overheats_chip(start_miner: StartMiner, session: requests.Session, clock: FakeClock) -> None:
    miner = start_miner("2.12", clock=clock)
    session.patch(make_url(miner, "/api/system"), json={"frequency": 1000, "coreVoltage": 1400})
    clock.advance(1)
    assert miner.read_info()["overheat_mode"] == 0
    clock.advance(120)
    assert miner.read_info()["overheat_mode"] == 1


def test_state_faults_change_info(start_miner: StartMiner) -> None:
    miner = start_miner("2.15")
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
