"""From what was measured to what is printed."""

from __future__ import annotations

from typing import Any

import pytest

from tools.bench.figures import percentile, ratio, spread
from tools.bench.goals import Goal, goal_of
from tools.bench.options import Options
from tools.bench.report import at, derived, gaps, missed, number, table
from tools.bench.window import DAY, writes_per_day


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert [percentile(values, percent) for percent in (50, 95, 99, 100)] == [50.0, 95.0, 99.0, 100.0]
    assert percentile([7.0], 1) == 7.0
    assert percentile([], 50) is None


def test_a_spread_is_scaled_and_counted() -> None:
    assert spread([0.001, 0.003], 50, scale=1e3) == {"p50": 1.0, "max": 3.0, "count": 2}
    assert spread([], 50) == {"p50": None, "max": None, "count": 0}


def test_a_ratio_of_nothing_is_nothing() -> None:
    assert ratio(3.0, 2.0) == 1.5
    assert ratio(3.0, 0.0) is None
    assert ratio(None, 2.0) is None


def test_a_day_has_the_flushes_of_the_default_interval_and_the_seconds_between() -> None:
    """100 bytes a second all the time, and a flush of 6,000 bytes at second 20."""
    samples = [(float(second), second * 100 + (6000 if second > 20 else 0)) for second in range(61)]
    told = writes_per_day(samples, [[20.2, 20.4]])
    assert told["flushes"] == 1
    assert told["per_flush"] == pytest.approx(6000 + 600)  # the 6 s that are counted with it wrote 100 each
    assert told["per_second_between"] == pytest.approx(100)
    assert told["per_day"] == pytest.approx(6600 * DAY / 300 + 100 * DAY)


def test_without_a_flush_nothing_is_said_of_a_day() -> None:
    told = writes_per_day([(0.0, 0), (10.0, 50)], [])
    assert told["per_day"] is None
    assert told["per_second_between"] == 5


def test_a_goal_is_of_its_fleet_and_mode() -> None:
    assert goal_of("cpu_per_1000", Options(n=1000)) == Goal("cpu_per_1000", 0.85, when=_same("cpu_per_1000", 1000))
    assert str(goal_of("cpu_per_1000", Options(n=1000, mode="close"))) == "≤ 1.4"
    assert goal_of("cpu_per_1000", Options(n=999)) is None
    assert goal_of("cpu_per_1000", Options(n=1000, interval=1)) is None
    assert str(goal_of("update_p95", Options(n=1000))) == "≤ 40"
    assert str(goal_of("update_p95", Options(n=1000, clients=20))) == "≤ 150"
    assert goal_of("late_answering_p99", Options(n=1000)) is None
    assert goal_of("late_answering_p99", Options(n=1000, dead=30)) is not None


def _same(row: str, n: int) -> Any:
    found = goal_of(row, Options(n=n))
    assert found
    return found.when


def test_goals_have_a_side() -> None:
    assert Goal("x", 5, when=bool).met(5)
    assert not Goal("x", 5, when=bool).met(5.1)
    assert Goal("x", 5, when=bool, least=True).met(5)
    assert not Goal("x", 5, when=bool, least=True).met(4.9)


RESULT = {
    "service": {
        "polls_per_s": 199.0,
        "ideal_polls_per_s": 200.0,
        "cpu_per_1000": 0.9,
        "core_percent": 18.0,
        "rss": 90_000_000,
        "rss_start": 89_000_000,
        "gaps": [{"ms": 12.5, "cpu_ms": 12.0, "what": "garbage collection", "looks": 1, "of": 2}],
    },
    "bare": {"cpu_per_1000": 0.3, "core_percent": 6.0, "polls_per_s": 200.0, "rss": 30_000_000},
}


def test_the_table_has_the_figure_its_goal_and_the_ratio() -> None:
    result = {**RESULT, **derived(RESULT)}
    options = Options(n=1000)
    rows = {line.split("  ")[0]: line.split() for line in table(result, options)}
    assert rows["CPU per 1,000 polls"][4:] == ["0.9", "s", "≤", "0.85", "missed", "0.3", "3"]
    assert rows["memory (RSS) of the worker"][5:] == ["90.0", "MB", "≤", "110", "met", "30.0", "3"]
    assert rows["of the ideal"][3:] == ["99.5", "%"]
    assert missed(result, options) == ["cpu_per_1000", "cpu_vs_bare"]
    assert gaps(result) == ["  window: 12.5 ms, 12 on the CPU: garbage collection (1 of 2 looks)"]


def test_the_columns_stand_under_each_other() -> None:
    lines = table({**RESULT, **derived(RESULT)}, Options(n=1000))[1:]
    verdicts = {line.index(verdict) for line in lines for verdict in ("met", "missed") if verdict in line}
    assert len(verdicts) == 1


def test_what_was_not_measured_has_no_row() -> None:
    assert not any("GET /metrics" in line for line in table({**RESULT, **derived(RESULT)}, Options()))
    assert at(RESULT, "service.gaps.3.ms") is None
    assert at(RESULT, "prometheus.rss") is None


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (0, "0"), (0.0001, "0.000"), (0.5674, "0.567"), (12.34, "12.3"), (5432.1, "5,432")]
)
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert number(value) == text
