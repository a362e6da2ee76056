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
from app.services.logs.cursor import LogBatch, LogCursor
from app.services.logs.device_log import DeviceLog
from app.services.logs.log_filter import format_entry, format_lost_lines
from app.store.directories import make_private
from app.supervision import run_supervised
from app.throttle import throttled

log = logging.getLogger(__name__)

# The lines of a miner at the maximum rate during this time fit into a ring.
WRITE_EVERY_SECONDS = 0.2
# Files that could not be written are retried together, with a backoff: with 100 miners on a full disk, an attempt per
# file and round doubled the service's CPU (issue 10).
RETRY = Backoff(first=1.0, longest=60.0)


def log_file_stem(mac: str) -> str:
    """`02:00:5e:00:00:1a` → `02005e00001a`. Uses the canonical MAC, never text from a miner."""
    return mac.replace(":", "")


class LogFile(RotatingFileHandler):
    """One log file, readable only by this user. Raises OSError instead of logging it."""

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding="utf-8", opener=_open_private)  # noqa: PTH123, SIM115

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

    def write_text(self, text: str) -> None:
        self.emit(logging.makeLogRecord({"msg": text}))


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class LogFiles:
    """Owns the open files and a cursor per log. While the disk cannot be written, lines stay in the ring; they are
    written later. `lost_lines`: the number of lines that the ring dropped meanwhile."""

    def __init__(
        self,
        directory: Path,
        max_bytes: int,
        backups: int,
        list_logs: Callable[[], list[DeviceLog]],
        clock: Clock,
        on_crash: Callable[[], object] = lambda: None,
        *,
        delete_with_device: bool = False,
    ) -> None:
        self._on_crash = on_crash
        self._delete_with_device = delete_with_device
        self._directory = directory
        self._max_bytes = max_bytes
        self._backups = backups
        self._list_logs = list_logs
        self._clock = clock
        self._cursors: dict[str, LogCursor] = {}
        self._open_files: dict[str, LogFile] = {}
        self.lost_lines = 0
        self._failing: set[str] = set()
        self.next_retry = 0.0
        self._failed_retries = 0
        self._stop = Event()
        self._greenlet: gevent.Greenlet | None = None

    def start(self) -> None:
        self._greenlet = gevent.spawn(
            run_supervised, self._run_loop, self._clock, self._stop, self._on_crash, loop="log_files"
        )

    def stop(self) -> None:
        """Write all lines, then close the files."""
        if self._greenlet is None:
            return
        self._stop.set()
        self._greenlet.join()
        self.write_new_lines(retry=True)
        for mac in list(self._open_files):
            self._close_file(mac)

    def write_new_lines(self, *, retry: bool = False) -> None:
        """Write the new lines of each device. `retry`: also to failed files whose retry is not due."""
        retry = retry or self._clock.monotonic() >= self.next_retry
        failed: dict[str, OSError] = {}
        for device_log in throttled(self._list_logs()):
            if device_log.mac in self._failing and not retry:
                continue
            try:
                self._write_device(device_log)
            except OSError as error:
                failed[device_log.mac] = error
        if failed or (retry and self._failing):
            self._schedule_retry(failed, retried=retry)

    def _schedule_retry(self, failed: Mapping[str, OSError], *, retried: bool) -> None:
        if failed and not self._failing:
            message = "log files cannot be written; lines are kept while there is room"
            log.error(message, extra={"error": str(next(iter(failed.values()))), "files": len(failed)})
        if not failed:
            log.info("log files are written again", extra={"lost_lines": self.lost_lines})
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
        self._close_file(mac)

    def delete_files(self, mac: str) -> None:
        self.close_files(mac)
        for path in self._directory.glob(f"{log_file_stem(mac)}.log*"):
            path.unlink(missing_ok=True)

    def _run_loop(self) -> None:
        while not self._clock.wait(self._stop, WRITE_EVERY_SECONDS):
            self.write_new_lines()

    def _write_device(self, device_log: DeviceLog) -> None:
        mac = device_log.mac
        cursor = self._cursors.get(mac)
        if cursor is None or cursor.log is not device_log:
            cursor = self._cursors[mac] = LogCursor(device_log)
        began, batch = cursor.seq, cursor.read_batch(len(device_log.ring))
        try:
            if text := _format_batch(batch):
                self._get_file(mac).write_text(text)
        except OSError:
            cursor.seq = began
            self._close_file(mac)  # or the lines in its buffer would be written twice
            raise
        self.lost_lines += batch.lost_count

    def _get_file(self, mac: str) -> LogFile:
        if mac in self._open_files and not self._open_files[mac].is_in_place:
            self._close_file(mac)
        if mac not in self._open_files:
            # Not its parents: if the data directory is gone, its file system may not be mounted.
            make_private(self._directory)
            path = self._directory / f"{log_file_stem(mac)}.log"
            self._open_files[mac] = LogFile(
                path, maxBytes=self._max_bytes, backupCount=self._backups, encoding="utf-8", delay=True
            )
        return self._open_files[mac]

    def _close_file(self, mac: str) -> None:
        if file := self._open_files.pop(mac, None):
            with suppress(OSError):
                file.close()


def _format_batch(batch: LogBatch) -> str:
    lines = [format_lost_lines(batch.lost_count)] if batch.lost_count else []
    return "\n".join([*lines, *(format_entry(entry) for entry in batch.entries if entry.live)])
