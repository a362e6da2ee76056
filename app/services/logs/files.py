"""LOG_FILES: writes the log of each device to a rotating file, named by its MAC."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

import gevent
from gevent.event import Event

from app.backoff import Backoff
from app.clock import Clock
from app.events import DeviceDeleted
from app.services.logs.cursor import Batch, Cursor
from app.services.logs.device_log import DeviceLog
from app.services.logs.text import as_text, lost_text
from app.store.directories import make_private
from app.supervision import keep_running
from app.throttle import throttled

log = logging.getLogger(__name__)

# The lines of a miner at the maximum rate during this time fit into a ring.
WRITE_EVERY_SECONDS = 0.2
# Files that could not be written are retried together, with a backoff: with 100 miners on a full disk, an attempt per
# file and round doubled the service's CPU (issue 10).
RETRY = Backoff(first=1.0, longest=60.0)


def file_stem(mac: str) -> str:
    """`02:00:5e:00:00:1a` → `02005e00001a`. Uses the canonical MAC, never text from a miner."""
    return mac.replace(":", "")


class LogFile(RotatingFileHandler):
    """One log file, readable only by this user. Raises OSError instead of logging it."""

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding="utf-8", opener=_private)  # noqa: PTH123, SIM115

    def handleError(self, record: logging.LogRecord) -> None:
        raise  # noqa: PLE0704  # logging calls this while the error is being handled

    @property
    def is_in_place(self) -> bool:
        """Return False if the open file is no longer at its path: the directory may have been removed or replaced."""
        try:
            return self.stream is None or os.path.samestat(
                os.fstat(self.stream.fileno()), Path(self.baseFilename).stat()
            )
        except OSError:
            return False

    def write(self, text: str) -> None:
        self.emit(logging.makeLogRecord({"msg": text}))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class LogFiles:
    """Owns the open files and a cursor per log. While the disk cannot be written, lines stay in the ring; they are
    written later. `lost_lines`: the number of lines that the ring dropped meanwhile."""

    def __init__(
        self,
        directory: Path,
        max_bytes: int,
        backups: int,
        logs: Callable[[], list[DeviceLog]],
        clock: Clock,
        crashed: Callable[[], object] = lambda: None,
        *,
        delete_with_device: bool = False,
    ) -> None:
        self._crashed = crashed
        self._delete_with_device = delete_with_device
        self._directory = directory
        self._max_bytes = max_bytes
        self._backups = backups
        self._logs = logs
        self._clock = clock
        self._cursors: dict[str, Cursor] = {}
        self._open: dict[str, LogFile] = {}
        self.lost = 0
        self._failing: set[str] = set()
        self.next_retry = 0.0
        self._failed_retries = 0
        self._stop = Event()
        self._greenlet: gevent.Greenlet | None = None

    def start(self) -> None:
        self._greenlet = gevent.spawn(keep_running, self._run, self._clock, self._stop, self._crashed, loop="log_files")

    def stop(self) -> None:
        """Write all lines, then close the files."""
        if self._greenlet is None:
            return
        self._stop.set()
        self._greenlet.join()
        self.write(retry=True)
        for mac in list(self._open):
            self._close(mac)

    def write(self, *, retry: bool = False) -> None:
        """Write the new lines of each device. `retry`: also to failed files whose retry is not due."""
        retry = retry or self._clock.monotonic() >= self.next_retry
        failed: dict[str, OSError] = {}
        for device_log in throttled(self._logs()):
            if device_log.mac in self._failing and not retry:
                continue
            try:
                self._write(device_log)
            except OSError as error:
                failed[device_log.mac] = error
        if failed or (retry and self._failing):
            self._schedule_retry(failed, retried=retry)

    def _schedule_retry(self, failed: Mapping[str, OSError], *, retried: bool) -> None:
        if failed and not self._failing:
            message = "log files cannot be written; lines are kept while there is room"
            log.error(message, extra={"error": str(next(iter(failed.values()))), "files": len(failed)})
        if not failed:
            log.info("log files are written again", extra={"lost_lines": self.lost})
            self._failing, self._failed_retries = set(), 0
            return
        if retried:
            self._failed_retries += 1
            self.next_retry = self._clock.monotonic() + RETRY.delay_after(self._failed_retries)
        self._failing = set(failed) if retried else self._failing | set(failed)

    def on_device_deleted(self, event: DeviceDeleted) -> None:
        """Close the device's files; delete them too with `delete_with_device`."""
        (self.delete_files if self._delete_with_device else self.close_files)(event.mac)

    def close_files(self, mac: str) -> None:
        """Close the file of a device. The file stays on disk."""
        self._cursors.pop(mac, None)
        self._failing.discard(mac)
        self._close(mac)

    def delete_files(self, mac: str) -> None:
        self.close_files(mac)
        for path in self._directory.glob(f"{file_stem(mac)}.log*"):
            path.unlink(missing_ok=True)

    def _run(self) -> None:
        while not self._clock.wait(self._stop, WRITE_EVERY_SECONDS):
            self.write()

    def _write(self, device_log: DeviceLog) -> None:
        mac = device_log.mac
        cursor = self._cursors.get(mac)
        if cursor is None or cursor.log is not device_log:
            cursor = self._cursors[mac] = Cursor(device_log)
        began, batch = cursor.seq, cursor.take(len(device_log.ring))
        try:
            if text := _batch_text(batch):
                self._file(mac).write(text)
        except OSError:
            cursor.seq = began
            self._close(mac)  # or the lines in its buffer would be written twice
            raise
        self.lost += batch.lost

    def _file(self, mac: str) -> LogFile:
        if mac in self._open and not self._open[mac].is_in_place:
            self._close(mac)
        if mac not in self._open:
            # Not its parents: if the data directory is gone, its file system may not be mounted.
            make_private(self._directory)
            path = self._directory / f"{file_stem(mac)}.log"
            self._open[mac] = LogFile(
                path, maxBytes=self._max_bytes, backupCount=self._backups, encoding="utf-8", delay=True
            )
        return self._open[mac]

    def _close(self, mac: str) -> None:
        if file := self._open.pop(mac, None):
            with suppress(OSError):
                file.close()


def _batch_text(batch: Batch) -> str:
    lines = [lost_text(batch.lost)] if batch.lost else []
    return "\n".join([*lines, *(as_text(entry) for entry in batch.entries if entry.live)])
