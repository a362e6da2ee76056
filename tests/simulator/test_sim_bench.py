"""Tests of the benchmark features: time stamp in /info, GET /metrics, and parts of one fleet."""

from __future__ import annotations

import time

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from sim_helpers import StartMiner, make_url

from simulator import GENERATIONS, mac_of, make_specs
from simulator.handlers import STAMP
from simulator.metrics_handler import SAMPLES


@pytest.mark.parametrize("generation", GENERATIONS)
def test_info_contains_time_of_printing(start_miner: StartMiner, generation: str) -> None:
    miner = start_miner(generation, stamp=True)
    before = time.monotonic_ns()
    first, second = (requests.get(make_url(miner), timeout=3).json() for _ in range(2))
    stamps = [answer.pop(STAMP.decode()) for answer in (first, second)]
    assert before < stamps[0] < stamps[1] < time.monotonic_ns()
    assert first.keys() == miner.read_info().keys()


def test_stamp_and_metrics_are_off_by_default(start_miner: StartMiner) -> None:
    miner = start_miner("2.12")
    assert STAMP.decode() not in requests.get(make_url(miner), timeout=3).json()
    assert requests.get(make_url(miner, "/metrics"), timeout=3, allow_redirects=False).status_code == 302


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(("mode", "connection"), [("keep-alive", None), ("close", "close")])
def test_every_generation_exports_same_number_of_samples(
    start_miner: StartMiner, generation: str, mode: str, connection: str | None
) -> None:
    miner = start_miner(generation, exposition=mode)
    answer = requests.get(make_url(miner, "/metrics"), timeout=3)
    rows = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
    assert len({(row.name, *row.labels.items()) for row in rows}) == len(rows) == SAMPLES
    closes = "close" if miner.generation.closes else connection
    assert answer.headers.get("Connection") == closes


def test_make_specs_with_first_continues_fleet() -> None:
    whole = make_specs(5, "2.12")
    shards = [*make_specs(2, "2.12"), *make_specs(3, "2.12", base="127.1.0.3", first=2)]
    assert [spec.mac for spec in shards] == [mac_of(number) for number in range(5)]
    assert shards == whole
