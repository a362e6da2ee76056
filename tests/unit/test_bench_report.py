"""Percentiles, extrapolation, goals and the printed table of the benchmark."""

from __future__ import annotations

import pytest

from tools.bench.history_runs import extrapolate_hours
from tools.bench.measurements import compute_percentile, divide, summarize_samples
from tools.bench.options import Options
from tools.bench.report import (
    GOALS,
    ROWS,
    derive_figures,
    find_goal,
    find_missed_goals,
    find_value,
    format_gaps,
    format_number,
    format_table,
    meets_goal,
)
from tools.bench.service import DAY_SECONDS, DEFAULT_PERSIST_SECONDS, extrapolate_writes


def test_percentile_is_a_value_of_the_sample() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert [compute_percentile(values, percent) for percent in (50, 95, 99, 100)] == [50.0, 95.0, 99.0, 100.0]
    assert compute_percentile([7.0], 1) == 7.0
    assert compute_percentile([], 50) is None


def test_summary_is_scaled_and_counted() -> None:
    assert summarize_samples([0.001, 0.003], 50, scale=1e3) == {"p50": 1.0, "max": 3.0, "count": 2}
    assert summarize_samples([], 50) == {"p50": None, "max": None, "count": 0}


def test_ratio_without_a_value_is_none() -> None:
    assert divide(3.0, 2.0) == 1.5
    assert divide(3.0, 0.0) is None
    assert divide(None, 2.0) is None


def test_writes_per_day_have_the_flushes_of_the_default_interval() -> None:
    """100 bytes a second all the time, and a flush of 6,000 bytes at second 20."""
    samples = [(float(second), second * 100 + (6000 if second > 20 else 0)) for second in range(61)]
    written = extrapolate_writes(samples, [[20.2, 20.4]])
    assert written["flushes"] == 1
    assert written["per_flush"] == pytest.approx(6000 + 600)  # The 6 s that count with the flush have 100 bytes each.
    assert written["per_second_between"] == pytest.approx(100)
    assert written["per_day"] == pytest.approx(6600 * DAY_SECONDS / DEFAULT_PERSIST_SECONDS + 100 * DAY_SECONDS)


def test_writes_per_day_are_unknown_without_a_flush() -> None:
    written = extrapolate_writes([(0.0, 0), (10.0, 50)], [])
    assert written["per_day"] is None
    assert written["per_second_between"] == 5


def test_goal_depends_on_fleet_and_mode() -> None:
    assert find_goal("cpu_per_1000", Options(n=1000)) == 0.85
    assert find_goal("cpu_per_1000", Options(n=1000, mode="close")) == 1.4
    assert find_goal("cpu_per_1000", Options(n=999)) is None
    assert find_goal("cpu_per_1000", Options(n=1000, interval=1)) is None
    assert find_goal("update_p95", Options(n=1000)) == 40
    assert find_goal("update_p95", Options(n=1000, clients=20)) == 150
    assert find_goal("late_answering_p99", Options(n=1000)) is None
    assert find_goal("late_answering_p99", Options(n=1000, dead=30)) is not None


def test_every_goal_belongs_to_a_row() -> None:
    assert set(GOALS) <= {row.key for row in ROWS}


def test_goal_is_a_maximum_or_a_minimum() -> None:
    assert meets_goal("rss", 5, 5)
    assert not meets_goal("rss", 5.1, 5)
    assert meets_goal("polls_share", 5, 5)
    assert not meets_goal("polls_share", 4.9, 5)


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


def test_table_row_has_figure_goal_and_ratio() -> None:
    result = {**RESULT, **derive_figures(RESULT)}
    options = Options(n=1000)
    rows = {line.split("  ")[0]: line.split() for line in format_table(result, options)}
    assert rows["CPU per 1,000 polls"][4:] == ["0.9", "s", "≤", "0.85", "missed", "0.3", "3"]
    assert rows["memory (RSS) of the worker"][5:] == ["90.0", "MB", "≤", "110", "met", "30.0", "3"]
    assert rows["of the ideal"][3:] == ["99.5", "%"]
    assert find_missed_goals(result, options) == ["cpu_per_1000", "cpu_vs_bare"]
    assert format_gaps(result) == ["  window: 12.5 ms, 12 on the CPU: garbage collection (1 of 2 samples)"]


def test_table_columns_are_aligned() -> None:
    lines = format_table({**RESULT, **derive_figures(RESULT)}, Options(n=1000))[1:]
    verdicts = {line.index(verdict) for line in lines for verdict in ("met", "missed") if verdict in line}
    assert len(verdicts) == 1


def test_table_has_no_row_without_a_figure() -> None:
    assert not any("GET /metrics" in line for line in format_table({**RESULT, **derive_figures(RESULT)}, Options()))
    assert find_value(RESULT, "service.gaps.3.ms") is None
    assert find_value(RESULT, "prometheus.rss") is None


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (0, "0"), (0.0001, "0.000"), (0.5674, "0.567"), (12.34, "12.3"), (5432.1, "5,432")]
)
def test_numbers_have_three_digits(value: float | None, text: str) -> None:
    assert format_number(value) == text


HISTORY = {
    "on": {"cpu_per_1000": 1.0, "rss": 112_000_000},
    "off": {"cpu_per_1000": 0.95, "rss": 100_000_000},
    "stepped": {
        "on": {"devices": 1000, "rss": 90_000_000, "background_cpu_per_1000": 0.02},
        "off": {"devices": 1000, "rss": 74_000_000, "background_cpu_per_1000": 0.001},
        "written": 1.2e9,
        "year": {"disk": 2_700_000.0},
    },
    "queries": {"device_365d": {"p50": 20.0, "p99": 81.0}},
    "gaps": [{"ms": 30.0, "cpu_ms": 8.0, "what": "x", "looks": 1, "of": 1}, {"ms": 21.0, "cpu_ms": 21.0}],
}


def test_cost_of_the_history_includes_flush_and_full_buffers() -> None:
    result = {**RESULT, "history": HISTORY}
    figures = derive_figures(result)
    assert figures["history_cpu"] == pytest.approx(1.019 / 0.95)
    assert figures["history_rss"] == 16_000
    assert figures["history_rss_window"] == 12_000
    missed = find_missed_goals({**result, **figures}, Options(n=1000))
    assert [key for key in missed if "history" in key] == [
        "history_rss",
        "history_device_365d_p99",
        "history_blocked_cpu",
    ]


def test_hours_of_writing_are_scaled_to_a_day_without_the_first() -> None:
    assert extrapolate_hours([0, 10, 110, 210]) == 2400
    assert extrapolate_hours([0, 10, 110, 210], rolled_up=50) == 2500
