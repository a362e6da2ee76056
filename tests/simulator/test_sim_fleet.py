"""Fleets: seeds, addresses, neighbour table, moves, two thousand."""

from __future__ import annotations

from pathlib import Path

import gevent
import pytest
import requests
from gevent import socket
from sim_helpers import QUICK, FakeClock, url, wait_for

from simulator import GENERATIONS, Fleet, MinerSpec, demo_fleet, mac_of, make_specs, swap


def test_same_seed_same_fleet() -> None:
    def readings(seed: int) -> list[dict[str, object]]:
        clock = FakeClock()
        fleet = Fleet(make_specs(12), seed=seed, clock=clock)
        clock.tick(500)
        answers = [miner.read_info() for miner in fleet]
        fleet.stop()
        return [{key: value for key, value in answer.items() if key != "ipv6"} for answer in answers]

    assert readings(7) == readings(7)
    assert readings(7) != readings(8)


def test_how_often_one_looks_changes_nothing() -> None:
    def final(looks: int) -> dict[str, object]:
        clock = FakeClock()
        fleet = Fleet([MinerSpec("2.12")], clock=clock)
        for _ in range(looks):
            clock.tick(120 / looks)
            fleet[0].update_state()
        answer = fleet[0].read_info()
        fleet.stop()
        return answer

    once, often = final(1), final(60)
    assert once["sharesAccepted"] == often["sharesAccepted"]
    assert once["bestDiff"] == often["bestDiff"]
    assert once["hashRate_1m"] == pytest.approx(often["hashRate_1m"], rel=1e-6)


def test_nothing_starts_in_the_constructor() -> None:
    fleet = Fleet([MinerSpec()])
    host, port = fleet[0].address.split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))
    fleet.stop()


def test_demo_fleet() -> None:
    specs = demo_fleet()
    assert len(specs) == 12
    assert sorted(spec.address[1] for spec in specs) == list(range(8101, 8113))
    assert [spec.hostname for spec in specs].count("bitaxe") == 2
    assert {spec.generation for spec in specs} == set(GENERATIONS) - {"nerd1.0.36", "nerd1.1"}
    fleet = Fleet(specs)
    silent = [miner for miner in fleet if not miner.generation.reports_mac]
    told = dict(fleet.list_neighbours())
    assert {told[miner.host] for miner in silent} == {miner.mac for miner in silent}
    fleet.stop()


def test_by_mac_and_duplicates() -> None:
    fleet = Fleet(make_specs(3))
    assert fleet.find_miner("02-00-5E-00-00-01") is fleet[1]
    with pytest.raises(KeyError):
        fleet.find_miner("02:00:5e:00:00:99")
    fleet.stop()
    with pytest.raises(ValueError, match="same MAC"):
        Fleet([MinerSpec(), MinerSpec()])


def test_neighbour_table(tmp_path: Path) -> None:
    specs = [
        MinerSpec(mac=mac_of(1), address=("127.9.0.1", 0)),
        MinerSpec(mac=mac_of(2), address=("127.9.0.2", 0)),
        MinerSpec(mac=mac_of(3), address=("127.9.0.2", 0)),
    ]
    fleet = Fleet(specs)
    fleet.write_neighbour_table(tmp_path / "arp")
    fleet.stop()
    lines = (tmp_path / "arp").read_text().splitlines()
    assert lines[0].split() == ["IP", "address", "HW", "type", "Flags", "HW", "address", "Mask", "Device"]
    assert [line.split()[:4] for line in lines[1:]] == [["127.9.0.1", "0x1", "0x2", "02:00:5e:00:00:01"]]


def test_move(http: requests.Session) -> None:
    with Fleet([MinerSpec("2.12", address=("127.9.1.1", 0))], timings=QUICK) as fleet:
        miner, before = fleet[0], url(fleet[0])
        shares = miner.read_info()["sharesAccepted"]
        miner.move(("127.9.1.2", 0))
        with pytest.raises(requests.ConnectionError):
            http.get(before)
        after = http.get(url(miner)).json()
        assert miner.address.startswith("127.9.1.2:")
        assert (after["ipv4"], after["macAddr"]) == ("127.9.1.2", miner.mac.upper())
        assert after["sharesAccepted"] >= shares


def test_swap(http: requests.Session) -> None:
    with Fleet(make_specs(2, "2.12", base="127.9.2.1", per_address=True), timings=QUICK) as fleet:
        one, other = fleet
        addresses = one.address, other.address
        swap(one, other)
        assert (other.address, one.address) == addresses
        assert http.get(f"http://{addresses[0]}/api/system/info").json()["macAddr"] == other.mac.upper()
        assert http.get(f"http://{addresses[1]}/api/system/info").json()["macAddr"] == one.mac.upper()


def test_the_port_survives_a_restart() -> None:
    with Fleet([MinerSpec()], timings=QUICK) as fleet:
        before = fleet[0].address
        fleet[0].restart()
        wait_for(lambda: fleet[0].boots == 1)
        assert fleet[0].address == before


def test_two_thousand_hold() -> None:
    answered: list[bool] = []

    def ask(address: str) -> None:
        host, port = address.split(":")
        with socket.create_connection((host, int(port)), timeout=10) as sock:
            sock.sendall(b"GET /api/system/info HTTP/1.1\r\nHost: x\r\n\r\n")
            answered.append(sock.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n"))

    with Fleet(make_specs(2000, base="127.20.0.1", port=8100)) as fleet:
        with gevent.Timeout(20):
            gevent.joinall([gevent.spawn(ask, miner.address) for miner in fleet], raise_error=True)
        assert answered == [True] * 2000
        assert sum(miner.connections_accepted for miner in fleet) == 2000
