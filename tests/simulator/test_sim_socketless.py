"""Tests of the miner without sockets: it is the same miner."""

from __future__ import annotations

from random import Random

import orjson
import pytest

from simulator import GENERATIONS, Miner
from simulator.fleet_specs import BOARD_OF
from simulator.socketless_miner import SocketlessMiner
from simulator.spec import MinerSpec


@pytest.mark.parametrize("generation", GENERATIONS)
def test_answers_equal_those_of_a_miner_with_sockets(generation: str) -> None:
    now = [1000.0]
    spec = MinerSpec(generation, BOARD_OF.get(generation, "601"))
    miner = Miner(spec, Random("seed"), lambda: now[0])
    socketless = SocketlessMiner(spec, Random("seed"), lambda: now[0])
    for seconds in (0.0, 5.0, 60.0, 7200.0):
        now[0] += seconds
        assert orjson.loads(socketless.print_info()) | {"ipv4": "", "hostip": ""} == miner.read_info() | {
            "ipv4": "",
            "hostip": "",
        }
        assert orjson.loads(socketless.print_info()).keys() == socketless.read_values().keys()
    miner.stop()


def test_boot_clears_counters_and_uptime() -> None:
    now = [1000.0]
    miner = SocketlessMiner(MinerSpec(), Random("seed"), lambda: now[0])
    before = miner.read_values()
    miner.boot()
    now[0] += 30
    after = miner.read_values()
    assert after["uptimeSeconds"] == 30 < before["uptimeSeconds"]
    assert after["sharesAccepted"] < before["sharesAccepted"]
    assert after["bestDiff"] >= before["bestDiff"]


def test_settings_apply_at_once() -> None:
    miner = SocketlessMiner(MinerSpec(), Random("seed"), lambda: 1000.0)
    before = miner.read_values()["hashRate"]
    miner.store_settings({"frequency": 400})
    assert miner.read_values()["frequency"] == 400
    assert miner.read_values()["hashRate"] < before
