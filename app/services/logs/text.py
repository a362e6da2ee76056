"""Filters log entries, and formats them as text. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.services.logs.ring import Entry

LEVELS = ("E", "W", "I", "D", "V")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries to return. `tail`: only the last ones, at most so many; `level`: this and more severe (E, W, I, D,
    V); `tags`: one of these; `since`: only numbers above. None or empty: all."""

    tail: int | None = None
    level: str | None = None
    tags: tuple[str, ...] = ()
    since: int | None = None
    epoch: str | None = None


def chosen(entries: Iterable[Entry], wanted: Wanted) -> list[Entry]:
    """Return the entries that match. A line without a level or tag does not match a filter on it."""
    levels = LEVELS[: LEVELS.index(wanted.level) + 1] if wanted.level else None
    found = [
        entry
        for entry in entries
        if (levels is None or entry.line.level in levels) and (not wanted.tags or entry.line.tag in wanted.tags)
    ]
    return found if wanted.tail is None else found[-wanted.tail :]


def as_text(entry: Entry) -> str:
    """`2026-11-23T12:00:00.000Z I (12345) tag: text`; a dash for an unknown time."""
    return f"{entry.at or '-'} {entry.line.line}"


def lost_text(count: int) -> str:
    return f"--- {count} lines were lost here: they came faster than they were taken ---"
