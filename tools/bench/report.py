"""The result as rows, and the rows as a table. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .figures import ratio
from .goals import goal_of
from .options import Options

MB = 1e6
Result = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """`path` is where the figure is in the result; `beside`, where the bare loop's and Prometheus's are."""

    key: str
    title: str
    unit: str
    path: str
    scale: float = 1.0
    beside: str | None = None


ROWS = (
    Row("polls", "polls", "/s", "service.polls_per_s", beside="polls_per_s"),
    Row("polls_share", "of the ideal", "%", "polls_share"),
    Row("late_p50", "a poll begins late, p50", "ms", "service.late_ms.p50", beside="late_ms.p50"),
    Row("late_p99", "  p99", "ms", "service.late_ms.p99", beside="late_ms.p99"),
    Row("late_answering_p99", "  p99 of the miners that answer", "ms", "service.late_answering_ms.p99"),
    Row("cpu_per_1000", "CPU per 1,000 polls", "s", "service.cpu_per_1000", beside="cpu_per_1000"),
    Row("cpu_vs_bare", "  × the bare loop", "", "cpu_vs_bare"),
    Row("cpu_vs_prometheus", "  × Prometheus", "", "cpu_vs_prometheus"),
    Row("core_percent", "of a core", "%", "service.core_percent", beside="core_percent"),
    Row("beside", "  beside it, miners and subscribers", "%", "service.core_percent_beside"),
    Row("rss", "memory (RSS) of the worker", "MB", "service.rss", 1 / MB, beside="rss"),
    Row("rss_growth", "  growth over the window", "MB", "rss_growth", 1 / MB),
    Row("rss_restarted", "  started again, after 3 intervals", "MB", "restart.rss", 1 / MB),
    Row("rss_master", "memory (RSS) of the master", "MB", "service.rss_master", 1 / MB),
    Row("pss_both", "memory (PSS) of both", "MB", "service.pss_both", 1 / MB),
    Row("pss_master", "  of the master", "MB", "service.pss_master", 1 / MB),
    Row("update_p50", "stat_update, written → had, p50", "ms", "service.stat_update_ms.p50"),
    Row("update_p95", "  p95", "ms", "service.stat_update_ms.p95"),
    Row("update_p99", "  p99", "ms", "service.stat_update_ms.p99"),
    Row("metrics_p50", "GET /metrics, p50", "ms", "service.probes.metrics.p50"),
    Row("metrics_p99", "  p99", "ms", "service.probes.metrics.p99"),
    Row("metrics_bytes", "  size", "kB", "service.probes.metrics.bytes", 1e-3),
    Row("list_p50", "GET /devices/imprint, p50", "ms", "service.probes.list.p50"),
    Row("list_p99", "  p99", "ms", "service.probes.list.p99"),
    Row("list_bytes", "  size", "kB", "service.probes.list.bytes", 1e-3),
    Row("healthz_p50", "GET /healthz, p50", "ms", "service.probes.healthz.p50"),
    Row("healthz_p99", "  p99", "ms", "service.probes.healthz.p99"),
    Row("written_day", "written a day", "MB", "service.written.per_day", 1 / MB),
    Row("written_flush", "  a flush, every 300 s", "kB", "service.written.per_flush", 1e-3),
    Row("written_between", "  between them", "kB/s", "service.written.per_second_between", 1e-3),
    Row("flush", "a flush takes", "ms", "service.flush_ms.p50"),
    Row("blocked", "longest block of the loop", "ms", "service.gaps.0.ms"),
    Row("blocked_cpu", "  on the CPU", "ms", "blocked_cpu"),
    Row("blocked_start", "  at the start", "ms", "restart.gaps.0.ms"),
    Row("ready", "start with known devices: ready", "s", "restart.ready_seconds"),
    Row("all_polled", "  all polled, after it was ready", "s", "restart.all_polled_seconds"),
    Row("falsely_lost", "  lost by mistake", "", "restart.falsely_lost"),
    Row("exit", "SIGTERM → exit", "s", "service.exit_seconds"),
)


def derived(result: Result) -> dict[str, Any]:
    """The figures that are made of two."""
    service, cpu = result["service"], result["service"]["cpu_per_1000"]
    share = ratio(service["polls_per_s"], service["ideal_polls_per_s"])
    return {
        "polls_share": None if share is None else 100 * share,
        "blocked_cpu": max((gap["cpu_ms"] for gap in service.get("gaps", ())), default=None),
        "rss_growth": service["rss"] - service["rss_start"],
        "cpu_vs_bare": ratio(cpu, at(result, "bare.cpu_per_1000")),
        "cpu_vs_prometheus": ratio(cpu, at(result, "prometheus.cpu_per_1000")),
    }


def at(result: Any, path: str) -> Any:
    """`a.b.0` → result["a"]["b"][0]; None where something on the way is not there."""
    for key in path.split("."):
        if isinstance(result, list):
            result = result[int(key)] if int(key) < len(result) else None
        else:
            result = result.get(key) if isinstance(result, Mapping) else None
    return result


def table(result: Result, options: Options) -> list[str]:
    """The rows that have a figure, aligned."""
    lines = [["", "", "", "goal", "", "bare loop", "×", "Prometheus", "×"]]
    lines += [_cells(row, result, options) for row in ROWS if at(result, row.path) is not None]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return ["  ".join(_pad(cell, width, column) for column, (cell, width) in enumerate(zip(line, widths, strict=True)))
            .rstrip() for line in lines]  # fmt: skip


def _pad(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column in (0, 2, 3, 4) else cell.rjust(width)


def _cells(row: Row, result: Result, options: Options) -> list[str]:
    value = at(result, row.path) * row.scale
    goal = goal_of(row.key, options)
    verdict = "" if goal is None else "met" if goal.met(value) else "missed"
    others: list[str] = []
    for other in ("bare", "prometheus"):
        theirs = at(result, f"{other}.{row.beside}") if row.beside else None
        their_value = None if theirs is None else theirs * row.scale
        others += [number(their_value), number(ratio(value, their_value))]
    return [row.title, number(value), row.unit, "" if goal is None else str(goal), verdict, *others]


def number(value: float | None) -> str:
    """Three digits that count, no exponent."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}" if abs(value) >= 0.001 or value == 0 else "0.000"


def gaps(result: Result) -> list[str]:
    """What held the loop, longest first."""
    return [
        f"  {when}: {gap['ms']:g} ms, {gap['cpu_ms']:g} on the CPU: {gap['what']} ({gap['looks']} of {gap['of']} looks)"
        for when, stage in (("window", "service"), ("start", "restart"))
        for gap in at(result, f"{stage}.gaps") or ()
    ]


def missed(result: Result, options: Options) -> list[str]:
    """The keys of the rows whose goals were not reached."""
    rows: Iterable[Row] = (row for row in ROWS if at(result, row.path) is not None)
    return [
        row.key for row in rows
        if (goal := goal_of(row.key, options)) and not goal.met(at(result, row.path) * row.scale)
    ]  # fmt: skip
