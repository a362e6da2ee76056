"""Output of the commands: tables for people, or JSON, on stdout; notes, progress and questions on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from app.cli.exit_codes import CommandFailed, ExitCode
from app.cli.formatting import clean_text

# Style by the status of a device, the state of a job or of one of its devices, or the severity of a finding. The word
# itself is always shown too, so nothing depends on colours.
STYLES = {
    "online": "green", "done": "green", "ok": "green", "applied": "green",
    "stale": "yellow", "restarting": "yellow", "pending": "yellow", "running": "cyan", "warning": "yellow",
    "pending_restart": "yellow", "reverted": "yellow", "new": "cyan", "moved": "yellow",
    "offline": "red", "locked": "red", "refused": "red", "failed": "red", "stopped": "red", "error": "red",
    "unsupported": "red",
}  # fmt: skip
# Width of a table that is not printed to a terminal.
PIPED_WIDTH = 200
COLUMN_GAP = 2


class Output:
    """Prints the result of one command. With `as_json`, stdout has JSON and nothing else."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.stdout = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False, markup=False)
        self.stderr = Console(stderr=True, highlight=False, markup=False)

    def print_json(self, data: Any) -> None:
        click.echo(json.dumps(data, indent=2))

    def print_json_line(self, data: Any) -> None:
        """Print one line of a stream of JSON values."""
        click.echo(json.dumps(data))

    def print_text(self, text: str, style: str = "") -> None:
        self.stdout.print(Text(text, style), soft_wrap=True)

    def print_note(self, text: str) -> None:
        """Print a sentence about the command's progress, which is no part of its result."""
        click.echo(clean_text(text), err=True)

    def print_table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        self.stdout.print(build_table(columns, rows))

    def create_progress(self) -> Progress:
        """Return a progress bar on stderr; it is not shown where stderr is no terminal."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        return Progress(*columns, console=self.stderr, transient=True, disable=not self.stderr.is_terminal)

    def confirm_change(self, question: str, yes: bool) -> None:
        """Ask once, unless `yes`. Raises: CommandFailed if the answer is no; UsageError without a terminal."""
        check_confirmation(yes)
        if not yes and not click.confirm(clean_text(question), err=True):
            raise CommandFailed(ExitCode.REFUSED, "Nothing was changed.")


def check_confirmation(yes: bool) -> None:
    """Raise UsageError if a confirmation is needed and there is no terminal to ask for it."""
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask for a confirmation: add --yes.")


def build_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Return a table. A column whose title begins with `>` is aligned to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, COLUMN_GAP, 0, 0))
    for title in columns:
        is_number = title.startswith(">")
        table.add_column(title.lstrip(">"), justify="right" if is_number else "left", no_wrap=is_number)
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else style_cell(cell) for cell in row))
    return table


def fit_columns(
    columns: Sequence[str], rows: Sequence[Sequence[str]], optional: Sequence[str], width: int
) -> tuple[list[str], list[list[str]]]:
    """Return the columns and cells that fit into `width`: the `optional` columns are dropped in their order."""
    widths = {
        title: max([cell_len(title.lstrip(">")), *(cell_len(row[at]) for row in rows)]) + COLUMN_GAP
        for at, title in enumerate(columns)
    }
    for title in optional:
        if sum(widths.values()) > width:
            del widths[title]
    kept = [at for at, title in enumerate(columns) if title in widths]
    return [columns[at] for at in kept], [[row[at] for at in kept] for row in rows]


def style_cell(value: object) -> Text:
    text = clean_text(value)
    return Text(text, STYLES.get(text, ""))
