"""Starts and stops log readers: one per device, while the device has listeners and for a linger time after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager

import gevent
from gevent.event import Event

from app.clock import Clock
from app.errors import WrongMiner
from app.events import DeviceDeleted, DeviceFailed, DeviceObserved, DeviceRemoved, MinerMissing
from app.services.devices.fleet import Fleet, Tracked
from app.services.logs.device_log import DeviceLog
from app.services.logs.reader import CLOSE_TIMEOUT_SECONDS, LogReader
from app.services.logs.reader_policy import ReaderState

TRACE_LISTENER = "traceLogs"
FILES_LISTENER = "LOG_FILES"


class LogHub:
    """Owns the log, the reader and the listeners of each device. A device has at most one reader, a reader at most one
    connection. Only monitored devices are read: polls keep their address current."""

    def __init__(
        self,
        fleet: Fleet,
        make_reader: Callable[[Tracked, DeviceLog], LogReader],
        clock: Clock,
        linger_seconds: float,
        *,
        write_files: bool,
    ) -> None:
        self.listeners: set[Event] = set()
        self._fleet = fleet
        self._make_reader = make_reader
        self._clock = clock
        self._linger_seconds = linger_seconds
        self._write_files = write_files
        self._logs: dict[str, DeviceLog] = {}
        self._readers: dict[str, LogReader] = {}
        self._listeners_by_mac: dict[str, set[Hashable]] = {}
        self._linger_cancelled: dict[str, Event] = {}
        self._offline_macs: set[str] = set()
        self._stopped = False

    def get_log(self, tracked: Tracked) -> DeviceLog:
        if tracked.mac not in self._logs:
            self._logs[tracked.mac] = DeviceLog(tracked.mac, self._clock, lambda: self.listeners)
        return self._logs[tracked.mac]

    def list_logs(self) -> list[DeviceLog]:
        return list(self._logs.values())

    def find_reader(self, mac: str) -> LogReader | None:
        """Return the reader of a device. None if it had no listener since the start."""
        return self._readers.get(mac)

    def count_reader_states(self) -> Counter[ReaderState]:
        return Counter(reader.state for reader in self._readers.values())

    def add_listener(self, tracked: Tracked, listener: Hashable) -> DeviceLog:
        """Add a listener and return the log. A new listener makes a reader retry whose stream was taken over."""
        wants = self._listeners_by_mac.setdefault(tracked.mac, set())
        is_new = listener not in wants
        wants.add(listener)
        if leaving := self._linger_cancelled.pop(tracked.mac, None):
            leaving.set()
        if tracked.monitored and not self._stopped:
            reader = self._start_reader(tracked)
            if is_new and reader.is_taken_over:
                reader.retry_now()
        return self.get_log(tracked)

    def remove_listener(self, mac: str, listener: Hashable) -> None:
        """Remove a listener. After the last one, the stream ends when the linger time is over."""
        wants = self._listeners_by_mac.get(mac, set())
        wants.discard(listener)
        if mac in self._listeners_by_mac and not wants:
            del self._listeners_by_mac[mac]
            if mac in self._readers and mac not in self._linger_cancelled:
                leaving = self._linger_cancelled[mac] = Event()
                gevent.spawn(self._stop_after_linger, mac, leaving)

    @contextmanager
    def listening(self, tracked: Tracked, listener: Hashable) -> Iterator[DeviceLog]:
        try:
            yield self.add_listener(tracked, listener)
        finally:
            self.remove_listener(tracked.mac, listener)

    def set_tracing(self, devices: Iterable[Tracked], on: bool) -> None:
        """Start or stop tracing these devices (PUT /devices/listen with `traceLogs`)."""
        for tracked in devices:
            if on:
                self.add_listener(tracked, TRACE_LISTENER)
            else:
                self.remove_listener(tracked.mac, TRACE_LISTENER)

    def stop(self) -> None:
        """Stop all readers at once, each with a close frame. Kill those that do not end in time."""
        self._stopped = True
        for leaving in self._linger_cancelled.values():
            leaving.set()
        readers, self._readers = list(self._readers.values()), {}
        self._listeners_by_mac.clear()
        greenlets = [greenlet for reader in readers if (greenlet := reader.stop())]
        gevent.joinall(greenlets, timeout=CLOSE_TIMEOUT_SECONDS + 0.2)
        gevent.killall(greenlets)
        for device_log in self._logs.values():
            device_log.notify_listeners()

    def _start_reader(self, tracked: Tracked) -> LogReader:
        reader = self._readers.get(tracked.mac)
        if reader is None:
            reader = self._readers[tracked.mac] = self._make_reader(tracked, self.get_log(tracked))
        reader.start()
        return reader

    def _stop_after_linger(self, mac: str, leaving: Event) -> None:
        if not self._clock.wait(leaving, self._linger_seconds):
            del self._linger_cancelled[mac]
            if reader := self._readers.get(mac):
                reader.stop()

    @property
    def is_stopped(self) -> bool:
        return self._stopped

    def on_device_observed(self, event: DeviceObserved) -> None:
        mac = event.tracked.mac
        if self._write_files and FILES_LISTENER not in self._listeners_by_mac.get(mac, ()):
            self.add_listener(event.tracked, FILES_LISTENER)
        elif mac in self._listeners_by_mac and not self._stopped:
            self._start_reader(event.tracked)
        if reader := self._readers.get(mac):
            reader.handle_poll()
            if mac in self._offline_macs and not reader.is_taken_over:
                reader.retry_now()
        self._offline_macs.discard(mac)

    def on_miner_missing(self, event: MinerMissing) -> None:
        """Close the stream if another miner answers at the device's address: its lines are not the device's."""
        tracked, reader = self._fleet.find_device(event.mac), self._readers.get(event.mac)
        if reader and tracked and tracked.observation.reason == WrongMiner.reason:
            reader.close_stream()

    def on_device_failed(self, event: DeviceFailed) -> None:
        self._offline_macs.add(event.tracked.mac)

    def on_device_removed(self, event: DeviceRemoved) -> None:
        """Stop the reader. Subscribers stay: they receive lines again once the device is monitored again."""
        mac = event.mac
        if mac in self._listeners_by_mac:
            self._listeners_by_mac[mac] -= {TRACE_LISTENER, FILES_LISTENER}
            if not self._listeners_by_mac[mac]:
                del self._listeners_by_mac[mac]
        self._offline_macs.discard(mac)
        if reader := self._readers.get(mac):
            reader.stop()

    def on_device_deleted(self, event: DeviceDeleted) -> None:
        """Delete the log and stop the reader. Waits for the close frame: the miner may be registered again at once, and
        allows one connection."""
        mac = event.mac
        self._listeners_by_mac.pop(mac, None)
        self._logs.pop(mac, None)
        if (reader := self._readers.pop(mac, None)) and (greenlet := reader.stop()):
            greenlet.join(CLOSE_TIMEOUT_SECONDS + 0.2)
            greenlet.kill()
