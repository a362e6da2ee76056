"""Delivers dashboards to Grafana, either through its API or as files that its provisioning reads."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from gevent.threadpool import ThreadPool

from app.clients.grafana import GrafanaClient
from app.clients.grafana_answers import Finding
from app.errors import DashboardUnsettled, GrafanaDown
from app.services.dashboards.boards import UIDS, Board
from app.services.dashboards.data_sources import DATA_SOURCE_UID, choose_data_source
from app.services.dashboards.templates import Dashboard, encoded, fingerprint
from app.store.directories import fsync_directory

log = logging.getLogger(__name__)

DATA_SOURCE_SECONDS = 300.0


class Delivery(Protocol):
    """A way to deliver dashboards. Its methods raise GrafanaError.

    `is_offline`: delivery does not use Grafana's API, so that it also works while Grafana is down.
    """

    ahead: bool

    def data_source(self) -> str:
        """Return the uid of the data source that the dashboards use."""
        ...

    def deliver(self, board: Board, dashboard: Dashboard) -> Finding:
        """Deliver the dashboard if Grafana does not have this version; otherwise cheap."""
        ...

    def again(self, board: Board, dashboard: Dashboard) -> Finding:
        """Deliver a dashboard that Grafana reports as absent."""
        ...

    def withdraw(self, uid: str) -> None: ...

    def sweep(self, uids: Iterable[str]) -> None:
        """Delete leftover dashboards whose uid is not in `uids`."""
        ...

    def close(self) -> None: ...


class ApiDelivery:
    ahead = False

    def __init__(self, grafana: GrafanaClient, monotonic: Callable[[], float]) -> None:
        self._grafana = grafana
        self._monotonic = monotonic
        self._data_source = ""
        self._data_source_due = 0.0

    def data_source(self) -> str:
        """Read the list from Grafana at most every 5 minutes, as it may change. The default is our own data source."""
        if self._monotonic() >= self._data_source_due:
            listed = self._grafana.data_sources()
            found = choose_data_source(listed or ())
            if (used := found or DATA_SOURCE_UID) != self._data_source:
                self._data_source = used
                reason = "found" if found else "this account may not list them" if listed is None else "none found"
                log.info("selected the data source of the dashboards", extra={"data_source": used, "reason": reason})
            self._data_source_due = self._monotonic() + DATA_SOURCE_SECONDS
        return self._data_source

    def deliver(self, board: Board, dashboard: Dashboard) -> Finding:
        """Save the dashboard if it has changed: each save adds a version to Grafana's history."""
        return Finding.SAVED if board.delivered == fingerprint(dashboard) else self.again(board, dashboard)

    def again(self, board: Board, dashboard: Dashboard) -> Finding:
        return self._grafana.save(dashboard).finding

    def withdraw(self, uid: str) -> None:
        self._grafana.remove(uid)

    def sweep(self, uids: Iterable[str]) -> None:
        """Do nothing: boards to delete are known by uid, and dashboards of other users may look like ours."""

    def close(self) -> None:
        pass


class FileDelivery:
    """Owns the files `pluto-*.json` in one folder; it leaves other files alone.

    A file name depends on the MAC only. Files are replaced atomically and are readable for Grafana, which runs as
    another user. Grafana scans the folder every 10 s, so a new dashboard appears with a delay. Writes run in a thread:
    an SD card's fsync must not delay a poll.
    """

    ahead = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._disk: Any = None

    def data_source(self) -> str:
        """Return our own uid, as files are written without a call to Grafana. To use another: docs/grafana.md."""
        return DATA_SOURCE_UID

    def deliver(self, board: Board, dashboard: Dashboard) -> Finding:
        self._on_disk(_write, self._folder, self._path(board.uid), encoded(dashboard))
        return Finding.SAVED

    def again(self, board: Board, dashboard: Dashboard) -> Finding:
        raise DashboardUnsettled("unread", f"Grafana has not read {board.uid}.json yet; does it provision that folder?")

    def withdraw(self, uid: str) -> None:
        self._on_disk(self._path(uid).unlink, True)

    def sweep(self, uids: Iterable[str]) -> None:
        self._on_disk(_sweep, self._folder, frozenset(uids))

    def close(self) -> None:
        """Finish the current write, then stop the thread."""
        if self._disk is not None:
            self._disk.join()
            self._disk.kill()
            self._disk = None

    def _path(self, uid: str) -> Path:
        assert UIDS.fullmatch(uid), uid  # noqa: S101
        return self._folder / f"{uid}.json"

    def _on_disk(self, work: Any, *arguments: Any) -> None:
        if self._disk is None:  # not `if not self._disk`: a ThreadPool without tasks is false
            self._disk = ThreadPool(1)  # after fork
        try:
            self._disk.apply(work, arguments)
        except OSError as error:
            problem = f"{self._folder} cannot be written ({error.strerror}); see GRAFANA_DASHBOARDS_DIR"
            raise GrafanaDown("folder", problem) from None


def _write(folder: Path, path: Path, content: bytes) -> None:
    """Write the file, unless it has this content. The temporary name does not end in `.json`: Grafana would read it."""
    _make(folder)
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


def _make(folder: Path) -> None:
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir()
        folder.chmod(0o755)  # readable for Grafana, like the files


def _sweep(folder: Path, uids: frozenset[str]) -> None:
    for path in folder.glob("pluto-*.json*"):
        uid, _, ending = path.name.partition(".")
        if UIDS.fullmatch(uid) and (ending == "json.tmp" or (ending == "json" and uid not in uids)):
            path.unlink(missing_ok=True)
