"""Tests of fleets: seeds, addresses, neighbour table, moves, 2,000 miners."""

from __future__ import annotations

from pathlib import Path

import gevent
import pytest
import requests
from gevent import socket
from sim_helpers import FAST_TIMINGS, FakeClock, make_url, wait_until

from simulator import GENERATIONS, Fleet, MinerSpec, demo_fleet, mac_of, make_specs, swap


def test_same_seed_gives_same_fleet() -> None:
    def read_fleet(seed: int) -> list[dict[str, object]]:
        clock = FakeClock()
        fleet = Fleet(make_specs(12), seed=seed, clock=clock)
        clock.advance(500)
        answers = [miner.read_info() for miner in fleet]
        fleet.stop()
        return [{key: value for key, value in answer.items() if key != "ipv6"} for answer in answers]

    assert read_fleet(7) == read_fleet(7)
    assert read_fleet(7) != read_fleet(8)


def test_number_of_updates_does_not_change_readings() -> None:
    def read_after_updates(count: int) -> dict[str, object]:
        clock = FakeClock()
        fleet = Fleet([MinerSpec("2.12")], clock=clock)
        for _ in range(count):
            clock.advance(120 / count)
            fleet[0].update_state()
        answer = fleet[0].read_info()
        fleet.stop()
        return answer

    once, often = read_after_updates(1), read_after_updates(60)
    assert once["sharesAccepted"] == often["sharesAccepted"]
    assert once["bestDiff"] == often["bestDiff"]
    assert once["hashRate_1m"] == pytest.approx(often["hashRate_1m"], rel=1e-6)


def test_constructor_does_not_listen() -> None:
    fleet = Fleet([MinerSpec()])
    host, port = fleet[0].address.split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))
    fleet.stop()


def test_demo_fleet_has_twelve_identifiable_miners() -> None:
    specs = demo_fleet()
    assert len(specs) == 12
    assert sorted(spec.address[1] for spec in specs) == list(range(8101, 8113))
    assert [spec.hostname for spec in specs].count("bitaxe") == 2
    assert {spec.generation for spec in specs} == set(GENERATIONS) - {"nerd1.0.36", "nerd1.1"}
    fleet = Fleet(specs)
    without_mac = [miner for miner in fleet if not miner.generation.reports_mac]
    neighbours = dict(fleet.list_neighbours())
    assert {neighbours[miner.host] for miner in without_mac} == {miner.mac for miner in without_mac}
    fleet.stop()


def test_find_miner_by_mac_and_refuse_duplicates() -> None:
    fleet = Fleet(make_specs(3))
    assert fleet.find_miner("02-00-5E-00-00-01") is fleet[1]
    with pytest.raises(KeyError):
        fleet.find_miner("02:00:5e:00:00:99")
    fleet.stop()
    with pytest.raises(ValueError, match="same MAC"):
        Fleet([MinerSpec(), MinerSpec()])


def test_neighbour_table_lists_unshared_addresses(tmp_path: Path) -> None:
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


def test_move_keeps_state_at_new_address(session: requests.Session) -> None:
    with Fleet([MinerSpec("2.12", address=("127.9.1.1", 0))], timings=FAST_TIMINGS) as fleet:
        miner, before = fleet[0], make_url(fleet[0])
        shares = miner.read_info()["sharesAccepted"]
        miner.move(("127.9.1.2", 0))
        with pytest.raises(requests.ConnectionError):
            session.get(before)
        after = session.get(make_url(miner)).json()
        assert miner.address.startswith("127.9.1.2:")
        assert (after["ipv4"], after["macAddr"]) == ("127.9.1.2", miner.mac.upper())
        assert after["sharesAccepted"] >= shares


def test_swap_exchanges_addresses(session: requests.Session) -> None:
    with Fleet(make_specs(2, "2.12", base="127.9.2.1", per_address=True), timings=FAST_TIMINGS) as fleet:
        one, other = fleet
        addresses = one.address, other.address
        swap(one, other)
        assert (other.address, one.address) == addresses
        assert session.get(f"http://{addresses[0]}/api/system/info").json()["macAddr"] == other.mac.upper()
        assert session.get(f"http://{addresses[1]}/api/system/info").json()["macAddr"] == one.mac.upper()


def test_restart_keeps_port() -> None:
    with Fleet([MinerSpec()], timings=FAST_TIMINGS) as fleet:
        before = fleet[0].address
        fleet[0].restart()
        wait_until(lambda: fleet[0].boots == 1)
        assert fleet[0].address == before


def test_fleet_of_2000_answers() -> None:
    answered: list[bool] = []

    def request_info(address: str) -> None:
        host, port = address.split(":")
        with socket.create_connection((host, int(port)), timeout=10) as sock:
            sock.sendall(b"GET /api/system/info HTTP/1.1\r\nHost: x\r\n\r\n")
            answered.append(sock.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n"))

    with Fleet(make_specs(2000, base="127.20.0.1", port=8100)) as fleet:
        with gevent.Timeout(20):
            gevent.joinall([gevent.spawn(request_info, miner.address) for miner in fleet], raise_error=True)
        assert answered == [True] * 2000
        assert sum(miner.connections_accepted for miner in fleet) == 2000
