"""Filters log entries, and formats them as text. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.services.logs.ring_buffer import LogEntry

LEVELS = ("E", "W", "I", "D", "V")


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which entries to return. `tail`: only the last ones, at most so many; `level`: this and more severe (E, W, I, D,
    V); `tags`: one of these; `since`: only numbers above. None or empty: all."""

    tail: int | None = None
    level: str | None = None
    tags: tuple[str, ...] = ()
    since: int | None = None
    epoch: str | None = None


def filter_entries(entries: Iterable[LogEntry], log_filter: LogFilter) -> list[LogEntry]:
    """Return the entries that match. A line without a level or tag does not match a filter on it."""
    levels = LEVELS[: LEVELS.index(log_filter.level) + 1] if log_filter.level else None
    found = [
        entry
        for entry in entries
        if (levels is None or entry.line.level in levels) and (not log_filter.tags or entry.line.tag in log_filter.tags)
    ]
    return found if log_filter.tail is None else found[-log_filter.tail :]


def format_entry(entry: LogEntry) -> str:
    """`2026-11-23T12:00:00.000Z I (12345) tag: text`; a dash for an unknown time."""
    return f"{entry.at or '-'} {entry.line.line}"


def format_lost_lines(count: int) -> str:
    return f"--- {count} lines were lost here: they came faster than they were taken ---"
