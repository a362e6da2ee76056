"""`backup`: download a snapshot of the store."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.progress import DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from app.cli.api_client import ApiClient
from app.cli.command_options import api_command
from app.cli.exit_codes import CommandFailed, ExitCode
from app.cli.formatting import format_bytes
from app.cli.output import Output

STDOUT = "-"


@click.command("backup")
@click.argument("file", required=False)
@click.option("--secrets", is_flag=True, help="With the passwords of pools in presets; needs a control token.")
@click.option("--history", is_flag=True, help="With the history and the events, which may be large.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@api_command
def backup_command(api: ApiClient, out: Output, file: str | None, secrets: bool, history: bool, force: bool) -> None:
    """Download a backup.

    The service keeps running. FILE is pluto-backup-<time>.jsonl.gz by default; `-` is stdout.
    """
    if file == STDOUT and out.as_json:
        raise click.UsageError("--json and a backup on stdout exclude each other.")
    target = Path(file or f"pluto-backup-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.jsonl.gz")
    if file != STDOUT and target.exists() and not force:
        raise CommandFailed(ExitCode.REFUSED, f"{target} exists; add --force to replace it.")
    query = {"secrets": str(secrets).lower(), "history": str(history).lower()}
    columns = (TextColumn("Backup"), DownloadColumn(), TransferSpeedColumn())
    progress = Progress(*columns, console=out.stderr, transient=True, disable=not out.stderr.is_terminal)
    with api.stream_body("/admin/backup", **query) as pieces, progress:
        task = progress.add_task("Backup", total=None)
        if file == STDOUT:
            for piece in pieces:
                sys.stdout.buffer.write(piece)
                progress.advance(task, len(piece))
            sys.stdout.buffer.flush()
            return
        size = _write_file(target, pieces, lambda count: progress.advance(task, count))
    result = {"file": str(target.resolve()), "bytes": size, "secrets": secrets, "history": history}
    if out.as_json:
        out.print_json(result)
    else:
        out.print_text(
            f"Wrote {target} ({format_bytes(size)}). Restore it with `python -m app.backup`: docs/backup.md."
        )


def _write_file(target: Path, pieces: Iterable[bytes], report: Callable[[int], None]) -> int:
    """Write the pieces to a new file, which gets its name when it is complete. Return its size.

    Only its owner may read it: a backup may have passwords.
    """
    partial = target.with_name(f"{target.name}.partial")
    size = 0
    try:
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            for piece in pieces:
                file.write(piece)
                size += len(piece)
                report(len(piece))
        partial.replace(target)
    except OSError as error:
        raise CommandFailed(ExitCode.REFUSED, f"{target} cannot be written: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)
    return size
