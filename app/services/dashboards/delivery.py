"""Two ways of getting a dashboard into Grafana, with the same result: through its API, or as a file that its
provisioning reads."""

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
    """Raises GrafanaError. `ahead`: needs no answer from Grafana, so it need not wait for one either."""

    ahead: bool

    def data_source(self) -> str:
        """Return the uid of the data source that the dashboards use."""
        ...

    def deliver(self, board: Board, dashboard: Dashboard) -> Finding:
        """What there is to do before Grafana can be asked about the board; cheap when it has this very dashboard."""
        ...

    def again(self, board: Board, dashboard: Dashboard) -> Finding:
        """Grafana says that it does not have it."""
        ...

    def withdraw(self, uid: str) -> None: ...

    def sweep(self, uids: Iterable[str]) -> None:
        """Takes away what is left of boards other than these."""
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
        """Ask Grafana at most every five minutes: one may be added, or replaced. Without an answer it is our own."""
        if self._monotonic() >= self._data_source_due:
            listed = self._grafana.data_sources()
            found = choose_data_source(listed or ())
            if (used := found or DATA_SOURCE_UID) != self._data_source:
                self._data_source = used
                reason = "found" if found else "this account may not list them" if listed is None else "there is none"
                log.info("the dashboards use a data source", extra={"data_source": used, "reason": reason})
            self._data_source_due = self._monotonic() + DATA_SOURCE_SECONDS
        return self._data_source

    def deliver(self, board: Board, dashboard: Dashboard) -> Finding:
        """Each save is a version in Grafana's history, so only what differs is sent."""
        return Finding.SAVED if board.delivered == fingerprint(dashboard) else self.again(board, dashboard)

    def again(self, board: Board, dashboard: Dashboard) -> Finding:
        return self._grafana.save(dashboard).finding

    def withdraw(self, uid: str) -> None:
        self._grafana.remove(uid)

    def sweep(self, uids: Iterable[str]) -> None:
        """Nothing: boards that are to go are known by name, and other people's look like ours."""

    def close(self) -> None:
        pass


class FileDelivery:
    """Owns the files `pluto-*.json` in one folder; other files there are other people's.

    A name comes from the MAC alone. Files are replaced whole, and readable for Grafana, which runs as another user.
    Grafana looks at the folder every 10 s, so that a new dashboard is not there at once. The disk is waited for in a
    thread: an SD card's fsync must not hold up a poll.
    """

    ahead = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._disk: Any = None

    def data_source(self) -> str:
        """Files are written before Grafana answers, so it is not asked; docs/grafana.md says how to use another."""
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
        """What is being written is finished first."""
        if self._disk is not None:
            self._disk.join()
            self._disk.kill()
            self._disk = None

    def _path(self, uid: str) -> Path:
        assert UIDS.fullmatch(uid), uid  # noqa: S101
        return self._folder / f"{uid}.json"

    def _on_disk(self, work: Any, *arguments: Any) -> None:
        if self._disk is None:  # and not its truth: a pool without work is false
            self._disk = ThreadPool(1)  # after fork
        try:
            self._disk.apply(work, arguments)
        except OSError as error:
            problem = f"{self._folder} cannot be written ({error.strerror}); see GRAFANA_DASHBOARDS_DIR"
            raise GrafanaDown("folder", problem) from None


def _write(folder: Path, path: Path, content: bytes) -> None:
    """Nothing, when the file says so already. The temporary name has no `.json` at its end: Grafana reads what has."""
    _make(folder)
    if path.is_file() and path.read_bytes() == content:
        return
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("wb") as file:
        os.fchmod(file.fileno(), 0o644)  # the store keeps the process's umask at 077
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    fsync_directory(folder)  # else the rename may be lost in a power cut


def _make(folder: Path) -> None:
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir()
        folder.chmod(0o755)  # as the files


def _sweep(folder: Path, uids: frozenset[str]) -> None:
    for path in folder.glob("pluto-*.json*"):
        uid, _, ending = path.name.partition(".")
        if UIDS.fullmatch(uid) and (ending == "json.tmp" or (ending == "json" and uid not in uids)):
            path.unlink(missing_ok=True)
