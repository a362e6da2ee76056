"""Delivers dashboards to Grafana, either through its API or as files that its provisioning reads."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from gevent.threadpool import ThreadPool

from app.clients.grafana import GrafanaClient
from app.clients.grafana_responses import CallResult
from app.errors import DashboardNotReady, GrafanaDown
from app.services.dashboards.boards import UIDS, Board
from app.services.dashboards.data_sources import DATA_SOURCE_UID, choose_data_source
from app.services.dashboards.templates import Dashboard, compute_fingerprint, encode_dashboard
from app.store.directories import fsync_directory

log = logging.getLogger(__name__)

DATA_SOURCE_SECONDS = 300.0


class Delivery(Protocol):
    """A way to deliver dashboards. Its methods raise GrafanaError.

    `is_offline`: delivery does not use Grafana's API, so that it also works while Grafana is down.
    """

    is_offline: bool

    def get_data_source_uid(self) -> str:
        """Return the uid of the data source that the dashboards use."""
        ...

    def deliver_dashboard(self, board: Board, dashboard: Dashboard) -> CallResult:
        """Deliver the dashboard if Grafana does not have this version; otherwise cheap."""
        ...

    def redeliver_dashboard(self, board: Board, dashboard: Dashboard) -> CallResult:
        """Deliver a dashboard that Grafana reports as absent."""
        ...

    def delete_dashboard(self, uid: str) -> None: ...

    def delete_orphans(self, uids: Iterable[str]) -> None:
        """Delete leftover dashboards whose uid is not in `uids`."""
        ...

    def close(self) -> None: ...


class ApiDelivery:
    is_offline = False

    def __init__(self, grafana: GrafanaClient, monotonic: Callable[[], float]) -> None:
        self._grafana = grafana
        self._monotonic = monotonic
        self._data_source = ""
        self._data_source_due = 0.0

    def get_data_source_uid(self) -> str:
        """Read the list from Grafana at most every 5 minutes, as it may change. The default is our own data source."""
        if self._monotonic() >= self._data_source_due:
            listed = self._grafana.list_data_sources()
            found = choose_data_source(listed or ())
            if (used := found or DATA_SOURCE_UID) != self._data_source:
                self._data_source = used
                reason = "found" if found else "this account may not list them" if listed is None else "none found"
                log.info("selected the data source of the dashboards", extra={"data_source": used, "reason": reason})
            self._data_source_due = self._monotonic() + DATA_SOURCE_SECONDS
        return self._data_source

    def deliver_dashboard(self, board: Board, dashboard: Dashboard) -> CallResult:
        """Save the dashboard if it has changed: each save adds a version to Grafana's history."""
        return (
            CallResult.SAVED
            if board.delivered == compute_fingerprint(dashboard)
            else self.redeliver_dashboard(board, dashboard)
        )

    def redeliver_dashboard(self, board: Board, dashboard: Dashboard) -> CallResult:
        return self._grafana.save_dashboard(dashboard).result

    def delete_dashboard(self, uid: str) -> None:
        self._grafana.delete_dashboard(uid)

    def delete_orphans(self, uids: Iterable[str]) -> None:
        """Do nothing: boards to delete are known by uid, and dashboards of other users may look like ours."""

    def close(self) -> None:
        pass


class FileDelivery:
    """Owns the files `pluto-*.json` in one folder; it leaves other files alone.

    A file name depends on the MAC only. Files are replaced atomically and are readable for Grafana, which runs as
    another user. Grafana scans the folder every 10 s, so a new dashboard appears with a delay. Writes run in a thread:
    an SD card's fsync must not delay a poll.
    """

    is_offline = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._disk: Any = None

    def get_data_source_uid(self) -> str:
        """Return our own uid, as files are written without a call to Grafana. To use another: docs/grafana.md."""
        return DATA_SOURCE_UID

    def deliver_dashboard(self, board: Board, dashboard: Dashboard) -> CallResult:
        self._run_in_thread(_write_file, self._folder, self._file_path(board.uid), encode_dashboard(dashboard))
        return CallResult.SAVED

    def redeliver_dashboard(self, board: Board, dashboard: Dashboard) -> CallResult:
        raise DashboardNotReady("unread", f"Grafana has not read {board.uid}.json yet; does it provision that folder?")

    def delete_dashboard(self, uid: str) -> None:
        self._run_in_thread(self._file_path(uid).unlink, True)

    def delete_orphans(self, uids: Iterable[str]) -> None:
        self._run_in_thread(_delete_orphan_files, self._folder, frozenset(uids))

    def close(self) -> None:
        """Finish the current write, then stop the thread."""
        if self._disk is not None:
            self._disk.join()
            self._disk.kill()
            self._disk = None

    def _file_path(self, uid: str) -> Path:
        assert UIDS.fullmatch(uid), uid  # noqa: S101
        return self._folder / f"{uid}.json"

    def _run_in_thread(self, work: Any, *arguments: Any) -> None:
        if self._disk is None:  # not `if not self._disk`: a ThreadPool without tasks is false
            self._disk = ThreadPool(1)  # after fork
        try:
            self._disk.apply(work, arguments)
        except OSError as error:
            problem = f"{self._folder} cannot be written ({error.strerror}); see GRAFANA_DASHBOARDS_DIR"
            raise GrafanaDown("folder", problem) from None


def _write_file(folder: Path, path: Path, content: bytes) -> None:
    """Write the file, unless it has this content. The temporary name does not end in `.json`: Grafana would read it."""
    _make_folder(folder)
    if path.is_file() and path.read_bytes() == content:
        return
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("wb") as file:
        os.fchmod(file.fileno(), 0o644)  # the store sets the process's umask to 077
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    fsync_directory(folder)  # else the rename may be lost in a power cut


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir()
        folder.chmod(0o755)  # readable for Grafana, like the files


def _delete_orphan_files(folder: Path, uids: frozenset[str]) -> None:
    for path in folder.glob("pluto-*.json*"):
        uid, _, ending = path.name.partition(".")
        if UIDS.fullmatch(uid) and (ending == "json.tmp" or (ending == "json" and uid not in uids)):
            path.unlink(missing_ok=True)
