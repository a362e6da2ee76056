"""Backups by hand, while the service is stopped: `python -m app.backup save FILE`, `python -m app.backup restore FILE`.

Exit status: 0 done, 1 the file is not right, 2 wrong arguments or settings, 3 the data directory is in use, 4 the store
cannot be opened or written.
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
from app.services.backup import Backups
from app.settings import Settings, from_environment
from app.store.directories import beside, fsync_directory
from app.store.lock import DataDirLock
from app.store.restoring import restore
from app.store.stores import CORE, DISCOVERY, Stores

EXITS: tuple[tuple[type[PlutoError], int], ...] = (
    (BackupUnusable, 1),
    (SettingsError, 2),
    (StoreLocked, 3),
    (StoreError, 4),
)


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a preset's name may not be in the terminal's encoding
    try:
        settings = from_environment()
        _run(given, given.data_dir or settings.data_dir, settings)
    except PlutoError as error:
        print(f"pluto: {error}", file=sys.stderr)
        return next((status for kind, status in EXITS if isinstance(error, kind)), 1)
    except OSError as error:
        print(f"pluto: {error.filename or given.file}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _run(given: argparse.Namespace, data_dir: Path, settings: Settings) -> None:
    if given.act == "save" and not (data_dir / CORE).is_dir():
        raise BackupUnusable(f"{data_dir} holds no store: name the right one with --data-dir or DATA_DIR")
    lock = DataDirLock(data_dir)
    lock.acquire()
    try:
        if given.act == "save":
            builtin = not settings.discovery_service_host and (data_dir / DISCOVERY).is_dir()
            _save(given.file, Stores(data_dir, discovery=builtin), secrets=given.secrets)
        else:
            _restore(given.file, data_dir)
    finally:
        lock.release()


def _save(file: Path, stores: Stores, *, secrets: bool) -> None:
    """For its owner only, and there when it is whole."""
    if file.exists():
        raise BackupUnusable(f"{file} is there already: choose another name")
    clock = Clock()
    stores.open(clock)
    partial = beside(file, "partial")
    try:
        with partial.open("wb") as out:
            for piece in Backups(stores, clock).take(secrets=secrets):
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


def _restore(file: Path, data_dir: Path) -> None:
    done = restore(file, data_dir, Clock().now())
    for name, entries in done.entries.items():
        print(f"{data_dir / name}: {entries} keys")
    for kept in done.kept:
        print(f"what was there is kept in {kept}")
    for sentence in done.lacking:
        print(sentence)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app.backup", description="Backups, while the service is stopped.")
    acts = parser.add_subparsers(dest="act", required=True)
    save = acts.add_parser("save", help="write everything to FILE")
    save.add_argument("--secrets", action="store_true", help="with passwords: keep the file as safe as them")
    back = acts.add_parser("restore", help="put FILE in the place of what is there, which is kept beside")
    for each in (save, back):
        each.add_argument("file", type=Path, metavar="FILE")
        each.add_argument("--data-dir", type=Path, help="instead of the one that DATA_DIR names")
    return parser


if __name__ == "__main__":
    sys.exit(main())
