"""Queries of Prometheus' API, answered from the history of simulated miners in fake time."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import gevent
import pytest
from testbed import Service

from app.clock import Clock
from app.errors import QueryTimeout, QueryTooLarge
from app.models import Device
from app.services.devices.fleet import Fleet
from app.services.history.columns import LASTS
from app.services.history.queries import Samples
from app.services.prometheus_query.catalog import CHIP_METRICS, DEVICE_METRICS, FLEET_METRICS, MetricCatalog
from app.services.prometheus_query.evaluator import MAX_POINTS, MAX_SERIES, QUERIES_AT_ONCE, HistoryEvaluator
from app.services.prometheus_query.grid import Grid
from app.store.database import Database
from app.store.devices import DeviceRepository
from simulator import mac_of

Make = Callable[..., Any]
HASHRATE = "pluto_device_hashrate_ghs"


def run_query(service: Service, query: str, back: float = 0) -> list[dict[str, Any]]:
    time = service.clock.now().timestamp() - back
    response = service.client.get("/prometheus/query", query_string={"query": query, "time": time})
    result: list[dict[str, Any]] = service.read_data(response)["result"]
    return result


def run_range(service: Service, query: str, seconds: float, step: float = 5) -> list[dict[str, Any]]:
    end = service.clock.now().timestamp()
    given = {"query": query, "start": end - seconds, "end": end, "step": step}
    result: list[dict[str, Any]] = service.read_data(service.client.get("/prometheus/query_range", query_string=given))[
        "result"
    ]
    return result


def read_values(service: Service, query: str, label: str = "mac", back: float = 0) -> dict[str, float]:
    return {row["metric"].get(label, ""): float(row["value"][1]) for row in run_query(service, query, back)}


def read_points(service: Service, query: str, seconds: float, step: float = 5) -> dict[float, float]:
    """Return the points of the only series, by seconds before now."""
    [series] = run_range(service, query, seconds, step)
    now = service.clock.now().timestamp()
    return {now - time: float(value) for time, value in series["values"]}


def expect_value(name: str, value: float) -> Any:
    """Return the value in single precision. Columns of which only the last value counts are recorded once a minute."""
    return pytest.approx(value, rel=0.1 if name.endswith(LASTS) or name in CHIP_METRICS else 1e-6)


def test_labelled_metrics_equal_those_of_a_scrape(testbed: Make) -> None:
    service, miners = testbed("2.15", "2.4", "nerd", rounds=4)
    scrape = service.scrape_metrics()
    compared = 0
    for name in (*DEVICE_METRICS, *CHIP_METRICS):
        expected = {
            frozenset((key, value) for key, value in labels if value): expect_value(name, value)
            for (each, labels), value in scrape.items()
            if each == name
        }
        answered = {
            frozenset(row["metric"].items() - {("__name__", name)}): float(row["value"][1])
            for row in run_query(service, name)
        }
        assert answered == expected, name
        compared += len(expected)
    assert compared > 15 * len(miners)


def test_chips_are_selected_by_their_label(testbed: Make) -> None:
    service, [_, hexa] = testbed("2.15", {"generation": "2.15", "board": "701"}, rounds=14)
    query = "pluto_device_asic_hashrate_ghs"
    of_device = f'{query}{{mac="{hexa.mac}"}}'
    assert read_values(service, of_device, "asic").keys() == {str(number) for number in range(1, 7)}
    assert len(read_values(service, f'{query}{{asic=~"[1-3]"}}', "asic")) == 3
    assert read_values(service, f'{query}{{asic="2"}}').keys() == {hexa.mac}
    assert run_query(service, f'{HASHRATE}{{asic="1"}}') == []
    total = read_values(service, f"sum by (mac) ({query})")[hexa.mac]
    assert total == pytest.approx(read_values(service, HASHRATE)[hexa.mac], rel=0.2)
    assert len(read_points(service, f'{query}{{mac="{hexa.mac}",asic="6"}}', 30)) == 7


def test_names_of_the_node_backend_equal_those_of_a_scrape_also_on_a_collision(testbed: Make) -> None:
    twins = [{"generation": "2.12", "hostname": "bit-axe"}, {"generation": "2.12", "hostname": "bit-axe"}]
    service, _ = testbed(*twins, {"generation": "2.12", "hostname": "total"}, rounds=4)
    scrape = service.scrape_metrics()
    expected = {
        name: expect_value(name, value)
        for (name, labels), value in scrape.items()
        if not labels and name.startswith(("bit__axe_", "total_0000", "total_")) and name not in FLEET_METRICS
    }
    answered = read_values(service, '{__name__=~"bit__axe_.*|total_.*"}', "__name__")
    assert {name: value for name, value in answered.items() if name not in FLEET_METRICS} == expected
    assert len(expected) == 3 * 17
    assert "bit__axe_power_watts" in expected
    assert "bit__axe_0002_power_watts" in expected


def test_totals_equal_those_of_a_scrape_but_the_efficiency_is_in_joules_per_terahash(testbed: Make) -> None:
    """The totals are recorded between two polls, so they are compared in each tenth of an interval."""
    service, _ = testbed("2.15", "2.4", "2.12", rounds=4)
    equal_totals = []
    for _ in range(10):
        service.run_polls(0.1, steps=10)
        scrape = service.scrape_metrics()
        expected = {name: scrape.get_value(name) for name in FLEET_METRICS}
        expected["total_efficiency"] = expected["pluto_fleet_efficiency_joules_per_terahash"]
        assert scrape.get_value("total_efficiency") == pytest.approx(1000 / (expected["total_efficiency"] or 0))
        answered = {name: read_values(service, name)[""] for name in FLEET_METRICS}
        equal_totals.append(answered == pytest.approx(expected, rel=1e-6))
    assert any(equal_totals)


def test_aggregations_agree_with_their_series(testbed: Make) -> None:
    service, _ = testbed("2.15", "2.12", "2.4", rounds=4)
    values = list(read_values(service, HASHRATE).values())
    assert len(values) == 3
    assert read_values(service, f"sum({HASHRATE})") == {"": pytest.approx(sum(values))}
    assert read_values(service, f"avg({HASHRATE})") == {"": pytest.approx(sum(values) / 3)}
    assert read_values(service, f"min({HASHRATE})") == {"": min(values)}
    assert read_values(service, f"max({HASHRATE})") == {"": max(values)}
    assert read_values(service, f"count by (model) ({HASHRATE})", "model") == {"Gamma": 2, "Ultra": 1}
    assert read_values(service, f"sum without (mac, hostname) ({HASHRATE})", "model").keys() == {"Gamma", "Ultra"}


def test_matchers_select_devices(testbed: Make) -> None:
    service, miners = testbed("2.15", "2.12", "2.4", rounds=4)
    macs = [miner.mac for miner in miners]
    assert read_values(service, f'{HASHRATE}{{mac="{macs[1]}"}}').keys() == {macs[1]}
    assert read_values(service, f'{HASHRATE}{{mac!="{macs[1]}"}}').keys() == {macs[0], macs[2]}
    assert read_values(service, f'{HASHRATE}{{hostname=~"miner-[13]"}}').keys() == {macs[0], macs[2]}
    assert read_values(service, f'{HASHRATE}{{hostname!~"miner-[13]",model!=""}}').keys() == {macs[1]}
    assert read_values(
        service, '{__name__=~"pluto_device_(hashrate|power).*",hostname="miner-2"}', "__name__"
    ).keys() == {
        HASHRATE,
        "pluto_device_hashrate_percent",
        "pluto_device_power_watts",
    }


def test_series_of_an_offline_device_end_and_have_no_zeros(testbed: Make) -> None:
    service, [miner, other] = testbed("2.15", "2.12", rounds=24)
    miner.power_off()
    service.run_polls(24)
    points = read_points(service, f'{HASHRATE}{{mac="{miner.mac}"}}', 240)
    assert 0 not in points.values()
    assert min(points) > 120 - 30 - 5
    assert min(read_points(service, f'{HASHRATE}{{mac="{other.mac}"}}', 240)) == 0
    assert read_values(service, HASHRATE).keys() == {other.mac}
    assert read_values(service, "hardware_offline") == {"": 1}
    assert read_values(service, f"count({HASHRATE})") == {"": 1}
    assert read_values(service, f"count({HASHRATE})", back=130) == {"": 2}


def test_missed_poll_leaves_no_gap(testbed: Make) -> None:
    service, [miner] = testbed("2.15", rounds=6)
    miner.power_off()
    service.run_polls(1)
    assert service.get_status(miner.mac) == "stale"
    assert len(read_values(service, HASHRATE)) == 1
    miner.power_on()
    gevent.sleep(0.5)
    service.run_polls(6)
    assert service.get_status(miner.mac) == "online"
    assert len(read_points(service, HASHRATE, 60)) == 13


def test_values_that_are_recorded_once_a_minute_leave_no_gap(testbed: Make) -> None:
    service, _ = testbed("2.15", rounds=36)
    for name in ("pluto_device_uptime_seconds", "pluto_device_core_voltage_volts"):
        assert len(read_points(service, name, 150)) == 31, name
    assert len(set(read_points(service, "pluto_device_uptime_seconds", 150).values())) in (3, 4)


def test_history_is_answered_after_a_restart_and_under_the_present_name(testbed: Make, make_service: Make) -> None:
    service, [miner] = testbed("2.15", rounds=12)
    before = read_points(service, HASHRATE, 30)
    assert len(before) == 7
    service.stop()
    again = make_service([miner], clock=service.clock, data_dir=service.settings.data_dir, auto_listen=False)
    assert read_points(again, HASHRATE, 30) == before
    assert read_points(again, f'{HASHRATE}{{hostname="miner-1"}}', 30) == before
    assert read_points(again, "miner__1_hashrate_ghs", 30) == before
    again.client.delete(f"/devices/imprint/{miner.mac}")
    assert run_range(again, HASHRATE, 30) == []


def test_longer_steps_are_answered_with_means(testbed: Make) -> None:
    service, [miner] = testbed("2.15", rounds=60)
    polls = read_points(service, HASHRATE, 290)
    end = service.clock.now().timestamp() // 60 * 60 - 1
    given = {"query": HASHRATE, "start": end - 60, "end": end, "step": "1m"}
    [series] = service.read_data(service.client.get("/prometheus/query_range", query_string=given))["result"]
    assert [time for time, _ in series["values"]] == [end - 60, end]
    now = service.clock.now().timestamp()
    of_minute = [value for back, value in polls.items() if end - 59 <= now - back <= end]
    assert len(of_minute) == 12
    assert float(series["values"][1][1]) == pytest.approx(sum(of_minute) / 12, rel=1e-5)


class MemorySamples:
    """A history in memory. `wait`: seconds that each read takes."""

    is_recording = True

    def __init__(self, times: Sequence[int], wait: float = 0.0) -> None:
        self._times, self._wait = array("I", times), wait
        self.reading = self.most_reading = 0

    def read_samples(self, series: str, names: Sequence[str], start: float, end: float, step: float) -> Samples:
        self.reading += 1
        self.most_reading = max(self.most_reading, self.reading)
        gevent.sleep(self._wait)
        self.reading -= 1
        values = {name: array("f", [1.1]) * len(self._times) for name in names}
        return Samples(self._times, values, dict.fromkeys(names, 30.0), True)


@pytest.fixture
def large_catalog(database: Database) -> MetricCatalog:
    """A thousand registered devices."""
    fleet = Fleet(DeviceRepository(database, dict), Clock())
    infos = [{"hostname": f"miner-{number}", "ASICModel": "BM1370"} for number in range(1000)]
    fleet.save_devices(
        [
            Device(mac_of(number + 1), f"10.0.{number >> 8}.{number & 255}", info=info)
            for number, info in enumerate(infos)
        ]
    )
    return MetricCatalog(fleet, set)


class LoopProbe:
    """Measures the longest time for which the event loop was held."""

    def __init__(self) -> None:
        self.longest = 0.0

    def run_probe(self) -> None:
        while True:
            began = perf_counter()
            gevent.sleep(0.001)
            self.longest = max(self.longest, perf_counter() - began)


@pytest.mark.parametrize("query", [HASHRATE, f"sum by (hostname) ({HASHRATE})", '{__name__=~"miner__.*_hashrate_ghs"}'])
def test_thousand_devices_with_500_points_are_answered_without_blocking_the_loop(
    large_catalog: MetricCatalog, query: str
) -> None:
    evaluator = HistoryEvaluator(large_catalog, MemorySamples(range(0, 3600, 5)))
    probe = LoopProbe()
    probing = gevent.spawn(probe.run_probe)
    gevent.sleep(0.01)
    began = perf_counter()
    pieces = evaluator.evaluate_query(query, Grid(10_000, 7_000, 500), is_range=True)
    took = perf_counter() - began
    gevent.sleep(0.01)
    probing.kill()
    result = json.loads(b"".join(pieces))["data"]["result"]
    assert [len(series["values"]) for series in result] == [500] * 1000
    assert result[0]["values"][:2] == [[10, "1.1"], [17, "1.1"]]
    assert took < 8
    assert probe.longest < 0.25  # a blocked evaluation takes more than a second; `make bench` measures the 20 ms


def test_too_many_points_or_series_are_refused_before_anything_is_read(large_catalog: MetricCatalog) -> None:
    samples = MemorySamples([])
    evaluator = HistoryEvaluator(large_catalog, samples)
    for query, count in ((HASHRATE, MAX_POINTS // 1000 + 1), ('{__name__=~".+"}', 1)):
        with pytest.raises(QueryTooLarge, match=f"more than {MAX_SERIES:,} series or {MAX_POINTS:,} points"):
            evaluator.evaluate_query(query, Grid(0, 5000, count), is_range=True)
    assert samples.most_reading == 0
    evaluator.evaluate_query(HASHRATE, Grid(0, 5000, MAX_POINTS // 1000), is_range=True)


def test_slow_query_ends_at_its_deadline(large_catalog: MetricCatalog) -> None:
    evaluator = HistoryEvaluator(large_catalog, MemorySamples([0], wait=0.01), deadline=0.1)
    began = perf_counter()
    with pytest.raises(QueryTimeout, match=r"longer than 0\.1 s: choose fewer devices"):
        evaluator.evaluate_query(HASHRATE, Grid(0, 5000, 1), is_range=True)
    assert perf_counter() - began < 1.0


def test_only_two_queries_are_evaluated_at_once(large_catalog: MetricCatalog) -> None:
    samples = MemorySamples([0], wait=0.005)
    evaluator = HistoryEvaluator(large_catalog, samples)
    query = f'{HASHRATE}{{hostname=~"miner-[1-9]"}}'
    running = [gevent.spawn(evaluator.evaluate_query, query, Grid(0, 1, 1), is_range=False) for _ in range(6)]
    gevent.joinall(running, raise_error=True)
    assert samples.most_reading == QUERIES_AT_ONCE
