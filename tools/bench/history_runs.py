"""The child processes that fast-forward the stores with and without history, and that fill a year."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.child_processes import PYTHON, ManagedProcess

from .options import Options

# A whole day, its roll-up included, takes too long with more devices than these: then some hours are scaled to a day.
WHOLE_DAY_DEVICES = 50
WHOLE_DAY_HOURS, SOME_HOURS, OFF_HOURS = 25, 3, 1
YEAR_DEVICES = 5


def fast_forward_stores(options: Options, folder: Path, target: Path, macs: Sequence[str]) -> dict[str, Any]:
    """Return the figures of the runs. `target` gets a year of history for the first five `macs`."""
    is_whole_day = options.n <= WHOLE_DAY_DEVICES
    hours, day = WHOLE_DAY_HOURS if is_whole_day else SOME_HOURS, folder / "stepped-on"
    on = _run_hours(options, day, options.n, hours, "on")
    off = _run_hours(options, folder / "stepped-off", options.n, OFF_HOURS, "off")
    if not is_whole_day:
        day = folder / "stepped-day"
        _run_hours(options, day, YEAR_DEVICES, WHOLE_DAY_HOURS, "on")
    year = _run_child("history_year", folder, [str(day), str(target), *macs[:YEAR_DEVICES]])
    rolled_up = 0 if is_whole_day else options.n * year["quarters_per_day"]
    return {"on": on, "off": off, "year": year, "written": extrapolate_hours(on["written"], rolled_up)}


def extrapolate_hours(written: Sequence[int], rolled_up: float = 0.0) -> float:
    """Return bytes written per day, from the totals at the beginning and after each hour. The first hour does not
    count: it has no roll-up of an earlier one. `rolled_up`: bytes of the day's roll-up if it is not among the hours;
    they are written to the log and to a table."""
    return (written[-1] - written[1]) * 24 / (len(written) - 2) + 2 * rolled_up


def _run_hours(options: Options, data: Path, count: int, hours: int, history: str) -> Any:
    return _run_child("history_day", data.parent, [str(data), options.firmware, str(count), str(hours), history])


def _run_child(module: str, folder: Path, arguments: list[str]) -> Any:
    with ManagedProcess(module, [*PYTHON, f"tools.bench.{module}", *arguments], folder) as process:
        return json.loads(process.read_line())
