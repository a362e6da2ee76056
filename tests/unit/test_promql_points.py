"""The values of a series at the times of a query, their aggregation, and their text in the answer."""

from __future__ import annotations

import json
import math
from array import array

import pytest

from app.miners.measures import MEASURES
from app.services.metrics.families import OVERVIEW
from app.services.prometheus_query.aggregation import Group, group_labels
from app.services.prometheus_query.answers import (
    ResultSeries,
    encode_matrix,
    encode_scalar,
    encode_vector,
    format_time,
    format_value,
)
from app.services.prometheus_query.catalog import DEVICE_METRICS, FLEET_METRICS
from app.services.prometheus_query.grid import Grid, sample_values
from app.services.prometheus_query.promql import Aggregation, Operation, Selector

NAN = math.nan


def sample(grid: Grid, samples: dict[int, float], lookback: float = 30, *, skip: bool = False) -> list[float | None]:
    points = sample_values(grid, array("I", samples), array("f", list(samples.values())), lookback, skip_absent=skip)
    return [None if math.isnan(point) else point for point in points]


def test_each_point_is_the_newest_sample_of_the_lookback() -> None:
    grid = Grid(100_000, 10_000, 6)  # 100 s to 150 s
    assert sample(grid, {95: 1, 100: 2, 104: 3, 111: 4}) == [2, 3, 4, 4, 4, None]


def test_sample_at_the_limit_of_the_lookback_does_not_count() -> None:
    assert sample(Grid(130_000, 1, 1), {100: 1}) == [None]
    assert sample(Grid(129_999, 1, 1), {100: 1}) == [1]
    assert sample(Grid(99_999, 1, 1), {100: 1}) == [None]


def test_absent_value_hides_earlier_ones_unless_a_poll_may_have_been_missed() -> None:
    grid, samples = Grid(100_000, 5_000, 3), {100: 1.0, 105: NAN, 110: 2.0}
    assert sample(grid, samples) == [1, None, 2]
    assert sample(grid, samples, skip=True) == [1, 1, 2]


def test_no_samples_give_no_points() -> None:
    assert sample(Grid(100_000, 5_000, 3), {}) == [None, None, None]
    assert sample(Grid(100_000, 5_000, 2), {100: NAN, 105: NAN}, skip=True) == [None, None]


def test_single_precision_is_printed_in_its_seven_digits() -> None:
    grid = Grid(100_000, 1, 1)
    assert sample(grid, {100: 512.3}) == [512.3]
    assert sample(grid, {100: 8_388_607}) == [8_388_607]
    assert sample(grid, {100: 16_777_216}) == [16_777_216]
    assert sample(grid, {100: 0.00012345}) == [0.00012345]


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (Operation.SUM, [4, 2, None, -1.5]),
        (Operation.AVG, [2, 2, None, -0.75]),
        (Operation.MIN, [1, 2, None, -3.5]),
        (Operation.MAX, [3, 2, None, 2]),
        (Operation.COUNT, [2, 1, None, 2]),
    ],
)
def test_aggregation_counts_only_series_with_a_value_at_the_time(
    operation: Operation, expected: list[float | None]
) -> None:
    group = Group(operation, Grid(0, 1000, 4))
    group.add_points(array("d", [1, NAN, NAN, 2]))
    group.add_points(array("d", [3, 2, NAN, -3.5]))
    assert [None if math.isnan(point) else point for point in group.compute_points()] == expected


@pytest.mark.parametrize(
    ("labels", "without", "expected"),
    [
        ((), False, {}),
        (("model", "none"), False, {"model": "m"}),
        (("__name__",), False, {"__name__": "x"}),
        (("mac",), True, {"model": "m"}),
        ((), True, {"mac": "1", "model": "m"}),
    ],
)
def test_group_has_the_labels_that_prometheus_keeps(
    labels: tuple[str, ...], without: bool, expected: dict[str, str]
) -> None:
    aggregation = Aggregation(Operation.SUM, Selector(()), labels, without)
    assert group_labels(aggregation, {"__name__": "x", "mac": "1", "model": "m"}) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (512.3, "512.3"),
        (1e21, "1000000000000000000000"),
        (1.5e-7, "0.00000015"),
        (NAN, "NaN"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (1 / 3, "0.3333333333333333"),
    ],
)
def test_value_is_printed_as_prometheus_does(value: float, text: str) -> None:
    assert format_value(value) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(0, "0"), (1_767_323_045_000, "1767323045"), (1_007, "1.007"), (1_500, "1.500")]
)
def test_time_is_printed_as_prometheus_does(milliseconds: int, text: str) -> None:
    assert format_time(milliseconds) == text


def test_answers_have_the_form_of_prometheus() -> None:
    grid = Grid(1_500, 5_000, 2)
    labels = {"b": '"\\', "a": "é"}
    present, absent = ResultSeries(labels, array("d", [NAN, 2.5])), ResultSeries({}, array("d", [NAN, NAN]))
    assert json.loads(b"".join(encode_matrix(grid, [absent, present, absent, present]))) == {
        "status": "success",
        "data": {"resultType": "matrix", "result": [{"metric": labels, "values": [[6.5, "2.5"]]}] * 2},
    }
    instant = Grid(1_500, 1, 1)
    assert json.loads(b"".join(encode_vector(instant, [ResultSeries(labels, array("d", [3])), absent]))) == {
        "status": "success",
        "data": {"resultType": "vector", "result": [{"metric": labels, "value": [1.5, "3"]}]},
    }
    assert json.loads(b"".join(encode_scalar(instant, 1))) == {
        "status": "success",
        "data": {"resultType": "scalar", "result": [1.5, "1"]},
    }
    assert json.loads(b"".join(encode_matrix(grid, []))) == {
        "status": "success",
        "data": {"resultType": "matrix", "result": []},
    }


def test_large_answer_comes_in_pieces() -> None:
    grid = Grid(0, 5_000, 2_000)
    series = [ResultSeries({"n": str(number)}, array("d", [1.25]) * 2_000) for number in range(50)]
    pieces = encode_matrix(grid, series)
    assert len(pieces) > 3
    assert len(json.loads(b"".join(pieces))["data"]["result"]) == 50


def test_every_total_of_the_fleet_can_be_queried() -> None:
    assert FLEET_METRICS.keys() == OVERVIEW.keys()


def test_every_metric_under_the_names_of_the_node_backend_is_recorded() -> None:
    unrecorded = [measure.key for measure in MEASURES if measure.legacy and not measure.recorded]
    assert unrecorded == []
    assert "pluto_device_hashrate_ghs" in DEVICE_METRICS


@pytest.mark.parametrize(
    ("name", "columns", "expected"),
    [
        ("total_efficiency", (20.0, 1000.0), 20.0),
        ("total_efficiency", (20.0, 0.0), None),
        ("pluto_fleet_efficiency_joules_per_terahash", (30.0, 1500.0), 20.0),
        ("average_hashrate", (1000.0, 4.0), 250.0),
        ("average_hashrate", (0.0, 0.0), None),
        ("hardware_offline", (5.0, 4.0), 1.0),
        ("total_hashrate", (NAN, 0.0), 0.0),
        ("total_hashrate", (NAN, 2.0), None),
        ("total_power_watts", (12.5, 2.0), 12.5),
    ],
)
def test_totals_of_the_fleet_are_computed(name: str, columns: tuple[float, ...], expected: float | None) -> None:
    compute = FLEET_METRICS[name].compute
    assert compute is not None
    value = compute(*columns)
    assert (None if math.isnan(value) else value) == expected
