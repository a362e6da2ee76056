"""The result as a table of rows with their goals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .measurements import divide
from .options import FIRMWARE_OF_MODE, QUERY_RANGES, Options

Result = Mapping[str, Any]


class Row(NamedTuple):
    """One figure, found at `path` of the result and at `other_path` of the bare loop's and of Prometheus's."""

    key: str
    title: str
    unit: str
    path: str
    scale: float = 1.0
    other_path: str = ""


ROWS = (
    Row("polls", "polls", "/s", "service.polls_per_s", other_path="polls_per_s"),
    Row("polls_share", "of the ideal", "%", "polls_share"),
    Row("late_p50", "a poll begins late, p50", "ms", "service.late_ms.p50", other_path="late_ms.p50"),
    Row("late_p99", "  p99", "ms", "service.late_ms.p99", other_path="late_ms.p99"),
    Row("late_answering_p99", "  p99 of the miners that answer", "ms", "service.late_answering_ms.p99"),
    Row("cpu_per_1000", "CPU per 1,000 polls", "s", "service.cpu_per_1000", other_path="cpu_per_1000"),
    Row("cpu_vs_bare", "  × the bare loop", "", "cpu_vs_bare"),
    Row("cpu_vs_prometheus", "  × Prometheus", "", "cpu_vs_prometheus"),
    Row("core_percent", "of a core", "%", "service.core_percent", other_path="core_percent"),
    Row("beside", "  beside it, miners and subscribers", "%", "service.core_percent_beside"),
    Row("rss", "memory (RSS) of the worker", "MB", "service.rss", 1e-6, other_path="rss"),
    Row("rss_growth", "  growth over the window", "MB", "rss_growth", 1e-6),
    Row("rss_restarted", "  started again, after 3 intervals", "MB", "restart.rss", 1e-6),
    Row("rss_master", "memory (RSS) of the master", "MB", "service.rss_master", 1e-6),
    Row("pss_both", "memory (PSS) of both", "MB", "service.pss_both", 1e-6),
    Row("pss_master", "  of the master", "MB", "service.pss_master", 1e-6),
    Row("update_p50", "stat_update, written → received, p50", "ms", "service.stat_update_ms.p50"),
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
    Row("written_day", "written a day", "MB", "service.written.per_day", 1e-6),
    Row("written_flush", "  a flush, every 900 s", "kB", "service.written.per_flush", 1e-3),
    Row("written_between", "  between them", "kB/s", "service.written.per_second_between", 1e-3),
    Row("flush", "a flush takes", "ms", "service.flush_ms.p50"),
    Row("blocked", "longest block of the loop", "ms", "service.gaps.0.ms"),
    Row("blocked_cpu", "  on the CPU", "ms", "blocked_cpu"),
    Row("blocked_start", "  at the start", "ms", "restart.gaps.0.ms"),
    Row("history_cpu", "history on ÷ off: CPU per poll", "×", "history_cpu"),
    Row("history_cpu_on", "  on, per 1,000 polls, flush and roll-up included", "s", "history_cpu_on"),
    Row("history_cpu_off", "  off (events stay on), per 1,000 polls", "s", "history.off.cpu_per_1000"),
    Row("history_rss", "history on − off: memory per device", "kB", "history_rss", 1e-3),
    Row("history_rss_window", "  in the window, buffers not full", "kB", "history_rss_window", 1e-3),
    Row("history_written", "written a day with history, everything", "MB", "history.stepped.written", 1e-6),
    Row("history_disk", "history of a device and year on disk", "MB", "history.stepped.year.disk", 1e-6),
    *(
        Row(
            f"history_{name}_{span}_{percent}",
            f"GET history of {title}, {span}, {percent}",
            "ms",
            f"history.queries.{name}_{span}.{percent}",
        )
        for name, title in (("device", "a device"), ("fleet", "the fleet"))
        for span in QUERY_RANGES
        for percent in ("p50", "p99")
    ),
    Row("history_blocked", "longest block of the loop with these queries", "ms", "history.gaps.0.ms"),
    Row("history_blocked_cpu", "  on the CPU", "ms", "history_blocked_cpu"),
    Row("ready", "start with known devices: ready", "s", "restart.ready_seconds"),
    Row("all_polled", "  all polled, after it was ready", "s", "restart.all_polled_seconds"),
    Row("falsely_lost", "  lost by mistake", "", "restart.falsely_lost"),
    Row("exit", "SIGTERM → exit", "s", "service.exit_seconds"),
)

GOAL_INTERVAL = 5.0  # All goals are for this poll interval.
# The frontend leaks clients: 200 at 100 miners, 20 at 1,000.
CROWDED = ((100, 200), (1000, 20))


def _is_quiet(n: int, mode: str = "") -> Callable[[Options], bool]:
    """Return the condition of `n` healthy miners, in any mode by default, and at most one subscriber."""
    return lambda options: options.n == n and options.clients <= 1 and not options.faults and mode in ("", options.mode)


FLEETS: dict[str, Callable[[Options], bool]] = {
    **{str(n): _is_quiet(n) for n in (12, 1000, 5000, 10000)},
    **{f"{n} {mode}": _is_quiet(n, mode) for n in (1000, 5000) for mode in FIRMWARE_OF_MODE},
    "crowded": lambda options: (options.n, options.clients) in CROWDED,
    "faulty": lambda options: bool(options.faults),
    "any 1000": lambda options: options.n == 1000,
    "at least 1000": lambda options: options.n >= 1000,
    "large": lambda options: options.n in (5000, 10000),
    "any": lambda options: True,
}
# The limit of each row by fleet, in the unit of the row.
GOALS: dict[str, dict[str, float]] = {
    "core_percent": {"12": 0.6, "10000": 85, "crowded": 60},
    "cpu_per_1000": {"1000 keep-alive": 0.85, "5000 keep-alive": 0.50, "1000 close": 1.4, "5000 close": 0.85},
    "cpu_vs_bare": {"at least 1000": 1.5},
    "cpu_vs_prometheus": {"at least 1000": 1.0},
    "rss": {"12": 75, "1000": 110, "5000": 330, "10000": 650},
    "pss_both": {"12": 78.6, "1000": 120.6},  # 75 and 115 MiB
    "written_day": {"12": 30, "1000": 2000},
    "update_p95": {"1000": 40, "crowded": 150},
    "metrics_p50": {"1000": 15},
    "list_p50": {"1000": 40},
    "polls_share": {"large": 99.5},
    "late_p99": {"5000": 100},
    "late_answering_p99": {"faulty": 100},
    "blocked": {"5000": 50},
    "ready": {"any 1000": 2},
    "all_polled": {"any 1000": 5.1},
    "falsely_lost": {"any": 0},
    "history_cpu": {"any": 1.1},
    "history_rss": {"1000": 15},
    "history_written": {"12": 30, "1000": 1500},
    "history_disk": {"any": 4},
    **{f"history_{name}_{span}_p99": {"12": 50, "1000": 80} for name in ("device", "fleet") for span in QUERY_RANGES},
    "history_blocked_cpu": {"any": 20},
}
ROWS_WITH_MINIMUM = {"polls_share"}


def find_goal(row: str, options: Options) -> float | None:
    """Return the limit of the first fleet of the row that these options are."""
    if options.interval != GOAL_INTERVAL:
        return None
    return next((limit for fleet, limit in GOALS.get(row, {}).items() if FLEETS[fleet](options)), None)


def meets_goal(row: str, value: float, goal: float) -> bool:
    return value >= goal if row in ROWS_WITH_MINIMUM else value <= goal


def derive_figures(result: Result) -> dict[str, Any]:
    """Return the figures that are computed from several others."""
    service = result["service"]
    share = divide(service["polls_per_s"], service["ideal_polls_per_s"])
    return {
        "polls_share": None if share is None else 100 * share,
        "blocked_cpu": find_busiest_gap(service),
        "rss_growth": service["rss"] - service["rss_start"],
        "cpu_vs_bare": divide(service["cpu_per_1000"], find_value(result, "bare.cpu_per_1000")),
        "cpu_vs_prometheus": divide(service["cpu_per_1000"], find_value(result, "prometheus.cpu_per_1000")),
        **(derive_history_figures(result["history"]) if "history" in result else {}),
    }


def derive_history_figures(history: Result) -> dict[str, Any]:
    """Return the cost of the history. The window is too short for a flush and a roll-up: their CPU time per poll, and
    memory with full buffers, are those in stepped time."""
    on, off, stepped = history["on"], history["off"], history["stepped"]
    background = stepped["on"]["background_cpu_per_1000"] - stepped["off"]["background_cpu_per_1000"]
    cpu_on, devices = on["cpu_per_1000"] + background, stepped["on"]["devices"]
    return {
        "history_cpu": divide(cpu_on, off["cpu_per_1000"]),
        "history_cpu_on": cpu_on,
        "history_rss": (stepped["on"]["rss"] - stepped["off"]["rss"]) / devices,
        "history_rss_window": (on["rss"] - off["rss"]) / devices,
        "history_blocked_cpu": find_busiest_gap(history),
    }


def find_busiest_gap(stage: Result) -> float | None:
    return max((gap["cpu_ms"] for gap in stage.get("gaps", ())), default=None)


def find_value(result: Any, path: str) -> Any:
    """Return result["a"]["b"][0] for `a.b.0`, None where a part of the path does not exist."""
    for key in path.split("."):
        if isinstance(result, list):
            result = result[int(key)] if int(key) < len(result) else None
        else:
            result = result.get(key) if isinstance(result, Mapping) else None
    return result


def measured_rows(result: Result) -> list[tuple[Row, float]]:
    """Return the rows that have a figure, with the figure in the unit of the row."""
    values = ((row, find_value(result, row.path)) for row in ROWS)
    return [(row, value * row.scale) for row, value in values if value is not None]


def format_table(result: Result, options: Options) -> list[str]:
    lines = [["", "", "", "goal", "", "bare loop", "×", "Prometheus", "×"]]
    for row, value in measured_rows(result):
        goal = find_goal(row.key, options)
        line = [row.title, format_number(value), row.unit, "", ""]
        if goal is not None:
            sign = "≥" if row.key in ROWS_WITH_MINIMUM else "≤"
            line[3:] = [f"{sign} {goal:g}", "met" if meets_goal(row.key, value, goal) else "missed"]
        for stage in ("bare", "prometheus"):
            other = find_value(result, f"{stage}.{row.other_path}")
            other = None if other is None else other * row.scale
            line += [format_number(other), format_number(divide(value, other))]
        lines.append(line)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    formats = [f"{alignment}{width}" for alignment, width in zip("<><<<>>>>", widths, strict=True)]
    return ["  ".join(map(format, line, formats)).rstrip() for line in lines]


def format_number(value: float | None) -> str:
    """Return the number with three significant digits and without an exponent."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}" if abs(value) >= 0.001 or value == 0 else "0.000"


def format_gaps(result: Result) -> list[str]:
    """Return a line for each long block of the loop with its cause."""
    return [
        f"  {when}: {gap['ms']:g} ms, {gap['cpu_ms']:g} on the CPU: "
        f"{gap['what']} ({gap['looks']} of {gap['of']} samples)"
        for when, stage in (("window", "service"), ("start", "restart"), ("queries", "history"))
        for gap in find_value(result, f"{stage}.gaps") or ()
    ]


def find_missed_goals(result: Result, options: Options) -> list[str]:
    """Return the keys of the rows that do not meet their goals."""
    goals = ((row.key, value, find_goal(row.key, options)) for row, value in measured_rows(result))
    return [key for key, value, goal in goals if goal is not None and not meets_goal(key, value, goal)]
