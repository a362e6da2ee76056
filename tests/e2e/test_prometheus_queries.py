"""The queries of /prometheus beside a real Prometheus that scrapes the same service: equal types, labels and values."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from processes import MINER_COUNT, Process, ServiceProcess, SimulatorProcess, find_free_port, wait_for

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: pluto
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
# Labels that Prometheus adds to what it scrapes.
ADDED_LABELS = {"instance", "job"}
# A poll becomes visible to Prometheus with its next scrape.
SECONDS_BETWEEN = 4
QUERIES = [
    "pluto_device_hashrate_ghs",
    "pluto_device_frequency_mhz",
    "pluto_device_core_voltage_volts",
    "pluto_device_shares_accepted",
    'pluto_device_power_watts{hostname=~"bitaxe.*|nerd.*",model!=""}',
    'pluto_device_power_watts{hostname!~".*[13579]"}',
    'pluto_device_power_watts{hostname=~"(?i)BITAXE.*\\\\b.?"}',
    '{__name__=~"pluto_device_(temperature_celsius|fanspeed_rpm)",mac!=""}',
    '{__name__=~".+_core_voltage_volts",mac=""}',
    "sum(pluto_device_hashrate_ghs)",
    "avg by (model) (pluto_device_hashrate_ghs)",
    "min without (mac, hostname, instance, job) (pluto_device_frequency_mhz)",
    'max by (model, nothing) (pluto_device_temperature_celsius{model=~".*a.*"})',
    "count by (model) (pluto_device_frequency_mhz)",
    "count(pluto_device_hashrate_ghs)",
    "total_hardware",
    "hardware_online",
    "hardware_offline",
    "total_hashrate",
    "average_hashrate",
    "total_power_watts",
    "pluto_fleet_efficiency_joules_per_terahash",
    "no_such_metric",
    "sum(no_such_metric)",
    "42.5",
]
INVALID_QUERIES = [
    "a{", "{}", "sum(1)", '{mac=~".*"}', 'a{b=~"("}', 'a{b=~"c{1001}"}', 'a{b=~"(?=c)"}', "no_such_function(a)"
]  # fmt: skip

Points = dict[frozenset[tuple[str, str]], dict[float, float]]


class Prometheus:
    """A Prometheus that scrapes the service on `service_port` every second."""

    def __init__(self, start_program: Callable[..., Process], folder: Path, service_port: str, port: int) -> None:
        config = folder / "prometheus.yml"
        config.write_text(CONFIG.format(port=service_port))
        self.url = f"http://127.0.0.1:{port}"
        self._process = start_program(
            "prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/tsdb",
            f"--web.listen-address=127.0.0.1:{port}",
        )  # fmt: skip

    def wait_for_scrapes(self, count: int) -> None:
        def has_scrapes() -> bool:
            try:
                answer = fetch_answer(f"{self.url}/api/v1", "query", query="sum_over_time(up[5m])").json()
                return float(answer["data"]["result"][0]["value"][1]) >= count
            except (requests.RequestException, LookupError, ValueError):
                return False

        wait_for(f"{count} scrapes", has_scrapes, 60)


def fetch_answer(base: str, path: str, **params: Any) -> requests.Response:
    return requests.get(f"{base}/{path}", params=params, timeout=15)


def read_points(answer: dict[str, Any]) -> Points:
    """Return the points of each series, by its labels without those that Prometheus adds."""
    assert answer["status"] == "success", answer
    data = answer["data"]
    if data["resultType"] == "scalar":
        return {frozenset(): {data["result"][0]: float(data["result"][1])}}
    return {
        frozenset((name, value) for name, value in row["metric"].items() if name not in ADDED_LABELS): {
            at: float(value) for at, value in row.get("values", [row.get("value")])
        }
        for row in data["result"]
    }


def is_within(value: float, least: float, most: float) -> bool:
    """Return True if the value is in the range; a changing one may exceed it by 2 %: two devices' polls lie differently
    between the scrapes."""
    slack = max(abs(least), abs(most)) * (1e-6 if least == most else 0.02)
    return least - slack <= value <= most + slack


@pytest.fixture
def prometheus(
    service: ServiceProcess, miners: SimulatorProcess, start_program: Callable[..., Process], tmp_path: Path
) -> Prometheus:
    """A Prometheus that scrapes the service."""
    return Prometheus(start_program, tmp_path, service.port, find_free_port())


@pytest.fixture
def watched(service: ServiceProcess, prometheus: Prometheus) -> tuple[str, str]:
    """The base URLs of the queries, of the service and of a Prometheus that scrapes it."""
    prometheus.wait_for_scrapes(2)
    return f"{service.url}/prometheus", f"{prometheus.url}/api/v1"


def test_history_and_prometheus_agree(watched: tuple[str, str], prometheus: Prometheus) -> None:
    """A value of the history lies between the smallest and the largest that Prometheus has within some seconds, as a
    reading is scraped later than it is taken. Values that do not change are equal."""
    ours, theirs = watched
    prometheus.wait_for_scrapes(25)
    now = math.floor(time.time()) - SECONDS_BETWEEN
    compared = 0
    for query in QUERIES:
        instant, reference = (fetch_answer(base, "query", query=query, time=now).json() for base in watched)
        assert instant["data"]["resultType"] == reference["data"]["resultType"], query
        answered = read_points(instant)
        assert answered.keys() == read_points(reference).keys(), query

        times = {"start": now - 10, "end": now, "step": "5s"}
        ranged = fetch_answer(ours, "query_range", query=query, **times).json()
        around = {"start": now - 10 - SECONDS_BETWEEN, "end": now + SECONDS_BETWEEN, "step": "1s"}
        dense = fetch_answer(theirs, "query_range", query=query, **around).json()
        assert ranged["data"]["resultType"] == dense["data"]["resultType"], query
        expected, points = read_points(dense), read_points(ranged)
        assert points.keys() == expected.keys(), query
        for labels, values in points.items():
            assert values.keys() == {now - 10, now - 5, now}, (query, labels)
            assert list(answered[labels]) == [now]
            assert answered[labels][now] == values[now], query
            for at, value in values.items():
                near = [each for when, each in expected[labels].items() if abs(when - at) <= SECONDS_BETWEEN]
                assert is_within(value, min(near), max(near)), (query, labels, at)
                compared += 1
    assert compared > 20 * MINER_COUNT


def test_both_refuse_the_same_queries(watched: tuple[str, str]) -> None:
    for query in INVALID_QUERIES:
        answers = [fetch_answer(base, "query", query=query) for base in watched]
        assert [answer.status_code for answer in answers] == [400, 400], query
        assert [answer.json()["errorType"] for answer in answers] == ["bad_data", "bad_data"], query


def test_series_of_a_lost_miner_end_in_both(watched: tuple[str, str], miners: SimulatorProcess) -> None:
    ours, theirs = watched
    lost = min(each["mac"] for each in miners.list_miners())
    miners.send_command(lost, "power_off")
    query = f'pluto_device_hashrate_ghs{{mac="{lost}"}}'
    for base, within in ((theirs, 20), (ours, 45)):
        wait_for(
            "the end of the series",
            lambda base=base: read_points(fetch_answer(base, "query", query=query).json()) == {},
            within,
        )
    assert (
        read_points(fetch_answer(ours, "query", query="hardware_offline").json())[
            frozenset({("__name__", "hardware_offline")})
        ].popitem()[1]
        == 1
    )


def test_queries_are_forwarded_to_the_configured_prometheus(
    miners: SimulatorProcess,
    start_service: Callable[..., ServiceProcess],
    start_program: Callable[..., Process],
    tmp_path: Path,
) -> None:
    port = find_free_port()
    service = start_service(POLL_INTERVAL=1, PROMETHEUS_HOST=f"http://127.0.0.1:{port}", **miners.settings())
    service.imprint_all_miners()
    service.wait_until_online()
    ours = f"{service.url}/prometheus"
    refused = fetch_answer(ours, "query", query="up")
    assert (refused.status_code, refused.json()["errorType"]) == (503, "unavailable")

    prometheus = Prometheus(start_program, tmp_path, service.port, port)
    prometheus.wait_for_scrapes(8)
    now = math.floor(time.time()) - 2
    times = {"start": now - 5, "end": now, "step": 5}
    for path, params in (
        ("query", {"query": "rate(pluto_polls_total[5s])", "time": now}),
        ("query", {"query": "topk(3, pluto_device_hashrate_ghs) / 1000", "time": now}),
        ("query", {"query": "a{", "time": now}),
        ("query_range", {"query": "sum(pluto_device_hashrate_ghs)", **times}),
        ("query_range", {"query": '"text"', **times}),
    ):
        direct, forwarded = fetch_answer(f"{prometheus.url}/api/v1", path, **params), fetch_answer(ours, path, **params)
        assert (forwarded.status_code, forwarded.json()) == (direct.status_code, direct.json()), params
    inverse = fetch_answer(f"{prometheus.url}/api/v1", "query", query="1000 / total_efficiency", time=now).json()
    answered = fetch_answer(ours, "query", query="total_efficiency", time=now).json()
    [[labels, efficiency]] = read_points(answered).items()
    assert labels == {("__name__", "total_efficiency")}
    assert efficiency == {now: pytest.approx(read_points(inverse)[frozenset()][now])}
    assert fetch_answer(ours, "query_range", query="up", **{**times, "step": 1}).status_code == 400
