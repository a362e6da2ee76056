"""What each figure should be, for which N and mode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .options import KEEP_ALIVE, Options

INTERVAL = 5.0
When = Callable[[Options], bool]


@dataclass(frozen=True)
class Goal:
    """`row` is a row's key; `limit` in its unit; `least`: not less, else not more."""

    row: str
    limit: float
    when: When
    least: bool = False

    def met(self, value: float) -> bool:
        return value >= self.limit if self.least else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.least else '≤'} {self.limit:g}"


def _plain(n: int) -> When:
    return lambda options: options.n == n and options.clients <= 1 and not options.faults


def _mode(n: int, mode: str) -> When:
    return lambda options: _plain(n)(options) and options.mode == mode


def _crowded(options: Options) -> bool:
    """The frontend leaks clients: 200 at 100 miners, 20 at 1,000."""
    return (options.n, options.clients) in ((100, 200), (1000, 20))


def _sick(options: Options) -> bool:
    return bool(options.faults)


GOALS = (
    Goal("core_percent", 0.6, _plain(12)),
    Goal("rss", 75, _plain(12)),
    Goal("pss_both", 78.6, _plain(12)),  # 75 MiB
    Goal("written_day", 30, _plain(12)),
    Goal("cpu_per_1000", 0.85, _mode(1000, KEEP_ALIVE)),
    Goal("cpu_per_1000", 0.50, _mode(5000, KEEP_ALIVE)),
    Goal("cpu_per_1000", 1.4, _mode(1000, "close")),
    Goal("cpu_per_1000", 0.85, _mode(5000, "close")),
    Goal("cpu_vs_bare", 1.5, lambda options: options.n >= 1000),
    Goal("cpu_vs_prometheus", 1.0, lambda options: options.n >= 1000),
    Goal("rss", 110, _plain(1000)),
    Goal("pss_both", 120.6, _plain(1000)),  # 115 MiB
    Goal("update_p95", 40, _plain(1000)),
    Goal("metrics_p50", 15, _plain(1000)),
    Goal("list_p50", 40, _plain(1000)),
    Goal("written_day", 2000, _plain(1000)),
    Goal("polls_share", 99.5, lambda options: options.n in (5000, 10000), least=True),
    Goal("late_p99", 100, _plain(5000)),
    Goal("rss", 330, _plain(5000)),
    Goal("core_percent", 85, _plain(10000)),
    Goal("rss", 650, _plain(10000)),
    Goal("late_answering_p99", 100, _sick),
    Goal("update_p95", 150, _crowded),
    Goal("core_percent", 60, _crowded),
    Goal("blocked", 50, _plain(5000)),
    Goal("ready", 2, lambda options: options.n == 1000),
    Goal("all_polled", 5.1, lambda options: options.n == 1000),
    Goal("falsely_lost", 0, lambda options: True),
)


def goal_of(row: str, options: Options) -> Goal | None:
    """The first that applies. All are of a poll every five seconds."""
    if options.interval != INTERVAL:
        return None
    return next((goal for goal in GOALS if goal.row == row and goal.when(options)), None)
