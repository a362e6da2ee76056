"""LOG_FILES: the log of each device in a file of its own, named by its MAC, that rotates."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

import gevent
from gevent.event import Event

from app.clock import Clock
from app.services.logs.cursor import Batch, Cursor
from app.services.logs.device_log import DeviceLog
from app.services.logs.text import as_text, lost_text
from app.store.directories import make_private
from app.supervision import keep_running

log = logging.getLogger(__name__)

# What a miner can say at its pace in this time fits into a ring.
WRITE_EVERY_SECONDS = 0.2


def file_stem(mac: str) -> str:
    """`02:00:5e:00:00:1a` → `02005e00001a`. Never made of anything that a miner says."""
    return mac.replace(":", "")


class LogFile(RotatingFileHandler):
    """One open file, for our eyes only. Errors are the caller's to handle."""

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding="utf-8", opener=_private)  # noqa: PTH123, SIM115

    def handleError(self, record: logging.LogRecord) -> None:
        raise  # noqa: PLE0704  # logging calls this while the error is being handled

    @property
    def is_in_place(self) -> bool:
        """Whether what is written can be found: its directory may have been removed or replaced."""
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
    """Owns the open files and the place in each log up to which it is written. Lines wait in the ring while the disk
    takes none, and are written when it does again; what the ring lost until then is said."""

    def __init__(
        self,
        directory: Path,
        max_bytes: int,
        backups: int,
        logs: Callable[[], list[DeviceLog]],
        clock: Clock,
        crashed: Callable[[], object] = lambda: None,
    ) -> None:
        self._crashed = crashed
        self._directory = directory
        self._max_bytes = max_bytes
        self._backups = backups
        self._logs = logs
        self._clock = clock
        self._cursors: dict[str, Cursor] = {}
        self._open: dict[str, LogFile] = {}
        self._failing = False
        self._stop = Event()
        self._greenlet: gevent.Greenlet | None = None

    def start(self) -> None:
        self._greenlet = gevent.spawn(keep_running, self._run, self._clock, self._stop, self._crashed, loop="log_files")

    def stop(self) -> None:
        """Everything that was heard is in the files when it returns."""
        if self._greenlet is None:
            return
        self._stop.set()
        self._greenlet.join()
        self.write()
        for mac in list(self._open):
            self._close(mac)

    def write(self) -> None:
        """Writes what came since, device by device."""
        failed = None
        for device_log in self._logs():
            try:
                self._write(device_log)
            except OSError as error:
                failed = error
        if failed and not self._failing:
            log.error("log files cannot be written; lines are kept while there is room", extra={"error": str(failed)})
        self._failing = failed is not None

    def forget(self, mac: str) -> None:
        """The device is gone; its files stay."""
        self._cursors.pop(mac, None)
        self._close(mac)

    def delete(self, mac: str) -> None:
        self.forget(mac)
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
            self._close(mac)  # or it would write again what stands in its buffer
            raise

    def _file(self, mac: str) -> LogFile:
        if mac in self._open and not self._open[mac].is_in_place:
            self._close(mac)
        if mac not in self._open:
            # Not its parents: a data directory that is gone is not made anew, where another file system was mounted.
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
