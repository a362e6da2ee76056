"""Backup command for a stopped service: `python -m app.backup save FILE`, `python -m app.backup restore FILE`.

Exit status: 0 success, 1 error of the backup file, 2 invalid options or settings, 3 the data directory is in use, 4
the store cannot be opened or written.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path

from app.clock import Clock
from app.errors import BackupUnusable, PlutoError, SettingsError, StoreError, StoreLocked
from app.services.backups import BackupService
from app.settings import Settings
from app.store.backup_restore import restore_backup
from app.store.directories import fsync_directory, sibling_path
from app.store.lock import DataDirLock
from app.store.stores import CORE, DISCOVERY, Stores

EXIT_CODES: tuple[tuple[type[PlutoError], int], ...] = (
    (BackupUnusable, 1),
    (SettingsError, 2),
    (StoreLocked, 3),
    (StoreError, 4),
)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _build_parser().parse_args(arguments)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a preset's name may not be in the terminal's encoding
    try:
        settings = Settings.from_environ()
        _run_command(options, options.data_dir or settings.data_dir, settings)
    except PlutoError as error:
        print(f"pluto: {error}", file=sys.stderr)
        return next((status for kind, status in EXIT_CODES if isinstance(error, kind)), 1)
    except OSError as error:
        print(f"pluto: {error.filename or options.file}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _run_command(options: argparse.Namespace, data_dir: Path, settings: Settings) -> None:
    if options.command == "save" and not (data_dir / CORE).is_dir():
        raise BackupUnusable(f"{data_dir} contains no store: set --data-dir or DATA_DIR to the right directory")
    lock = DataDirLock(data_dir)
    lock.acquire()
    try:
        if options.command == "save":
            builtin = not settings.discovery_service_host and (data_dir / DISCOVERY).is_dir()
            stores = Stores(data_dir, discovery=builtin)
            _save_backup(options.file, stores, secrets=options.secrets, history=options.history)
        else:
            _restore_backup(options.file, data_dir)
    finally:
        lock.release()


def _save_backup(file: Path, stores: Stores, *, secrets: bool, history: bool) -> None:
    """Write the backup to `file`, readable for its owner only. A partial file never has this name."""
    if file.exists():
        raise BackupUnusable(f"{file} already exists: choose another name")
    clock = Clock()
    stores.open(clock)
    partial = sibling_path(file, "partial")
    try:
        with partial.open("wb") as out:
            for piece in BackupService(stores, clock).create_backup(secrets=secrets, history=history):
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())
        partial.rename(file)
        fsync_directory(file.parent)
    finally:
        stores.close()
        with suppress(FileNotFoundError):
            partial.unlink()
    print(f"saved to {file}{'' if secrets else ', without passwords (--secrets keeps them)'}")


def _restore_backup(file: Path, data_dir: Path) -> None:
    done = restore_backup(file, data_dir, Clock().now())
    for name, entries in done.entries.items():
        print(f"{data_dir / name}: {entries} keys")
    for kept in done.kept:
        print(f"the former database is kept in {kept}")
    for message in done.missing:
        print(message)


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m app.backup", description="Save or restore a backup while the service is stopped."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    saving = commands.add_parser("save", help="write a backup to FILE")
    saving.add_argument("--secrets", action="store_true", help="include passwords: protect the file accordingly")
    saving.add_argument("--history", action="store_true", help="include history and events, which may be large")
    restoring = commands.add_parser("restore", help="replace the store by FILE; the former one is kept")
    for each in (saving, restoring):
        each.add_argument("file", type=Path, metavar="FILE")
        each.add_argument("--data-dir", type=Path, help="data directory (default: DATA_DIR)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
