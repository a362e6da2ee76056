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
from app.services.logs.policy import State
from app.services.logs.reader import GOODBYE_SECONDS, Reader

TRACE = "traceLogs"
FILES = "LOG_FILES"


class LogHub:
    """Owns the log, the reader and the listeners of each device. A device has at most one reader, a reader at most one
    connection. Only monitored devices are read: polls keep their address current."""

    def __init__(
        self,
        fleet: Fleet,
        make_reader: Callable[[Tracked, DeviceLog], Reader],
        clock: Clock,
        linger: float,
        *,
        files: bool,
    ) -> None:
        self.listeners: set[Event] = set()
        self._fleet = fleet
        self._make_reader = make_reader
        self._clock = clock
        self._linger = linger
        self._files = files
        self._logs: dict[str, DeviceLog] = {}
        self._readers: dict[str, Reader] = {}
        self._wants: dict[str, set[Hashable]] = {}
        self._leaving: dict[str, Event] = {}
        self._lost: set[str] = set()
        self._stopped = False

    def log_of(self, tracked: Tracked) -> DeviceLog:
        if tracked.mac not in self._logs:
            self._logs[tracked.mac] = DeviceLog(tracked.mac, self._clock, lambda: self.listeners)
        return self._logs[tracked.mac]

    def logs(self) -> list[DeviceLog]:
        return list(self._logs.values())

    def reader_of(self, mac: str) -> Reader | None:
        """Return the reader of a device. None if it had no listener since the start."""
        return self._readers.get(mac)

    def states(self) -> Counter[State]:
        return Counter(reader.state for reader in self._readers.values())

    def want(self, tracked: Tracked, who: Hashable) -> DeviceLog:
        """Add a listener and return the log. A new listener makes a reader retry whose stream was taken over."""
        wants = self._wants.setdefault(tracked.mac, set())
        is_new = who not in wants
        wants.add(who)
        if leaving := self._leaving.pop(tracked.mac, None):
            leaving.set()
        if tracked.monitored and not self._stopped:
            reader = self._start_reader(tracked)
            if is_new and reader.taken_over:
                reader.nudge()
        return self.log_of(tracked)

    def drop(self, mac: str, who: Hashable) -> None:
        """Remove a listener. After the last one, the stream ends when the linger time is over."""
        wants = self._wants.get(mac, set())
        wants.discard(who)
        if mac in self._wants and not wants:
            del self._wants[mac]
            if mac in self._readers and mac not in self._leaving:
                leaving = self._leaving[mac] = Event()
                gevent.spawn(self._leave, mac, leaving)

    @contextmanager
    def wanted(self, tracked: Tracked, who: Hashable) -> Iterator[DeviceLog]:
        try:
            yield self.want(tracked, who)
        finally:
            self.drop(tracked.mac, who)

    def trace(self, devices: Iterable[Tracked], on: bool) -> None:
        """Start or stop tracing these devices (PUT /devices/listen with `traceLogs`)."""
        for tracked in devices:
            if on:
                self.want(tracked, TRACE)
            else:
                self.drop(tracked.mac, TRACE)

    def stop(self) -> None:
        """Stop all readers at once, each with a close frame. Kill those that do not end in time."""
        self._stopped = True
        for leaving in self._leaving.values():
            leaving.set()
        readers, self._readers = list(self._readers.values()), {}
        self._wants.clear()
        greenlets = [greenlet for reader in readers if (greenlet := reader.stop())]
        gevent.joinall(greenlets, timeout=GOODBYE_SECONDS + 0.2)
        gevent.killall(greenlets)
        for device_log in self._logs.values():
            device_log.tell()

    def _start_reader(self, tracked: Tracked) -> Reader:
        reader = self._readers.get(tracked.mac)
        if reader is None:
            reader = self._readers[tracked.mac] = self._make_reader(tracked, self.log_of(tracked))
        reader.start()
        return reader

    def _leave(self, mac: str, leaving: Event) -> None:
        if not self._clock.wait(leaving, self._linger):
            del self._leaving[mac]
            if reader := self._readers.get(mac):
                reader.stop()

    @property
    def stopped(self) -> bool:
        return self._stopped

    def on_device_observed(self, event: DeviceObserved) -> None:
        mac = event.tracked.mac
        if self._files and FILES not in self._wants.get(mac, ()):
            self.want(event.tracked, FILES)
        elif mac in self._wants and not self._stopped:
            self._start_reader(event.tracked)
        if reader := self._readers.get(mac):
            reader.polled()
            if mac in self._lost and not reader.taken_over:
                reader.nudge()
        self._lost.discard(mac)

    def on_miner_missing(self, event: MinerMissing) -> None:
        """Close the stream if another miner answers at the device's address: its lines are not the device's."""
        tracked, reader = self._fleet.find(event.mac), self._readers.get(event.mac)
        if reader and tracked and tracked.observation.reason == WrongMiner.reason:
            reader.drop_stream()

    def on_device_failed(self, event: DeviceFailed) -> None:
        self._lost.add(event.tracked.mac)

    def on_device_removed(self, event: DeviceRemoved) -> None:
        """Stop the reader. Subscribers stay: they receive lines again once the device is monitored again."""
        mac = event.mac
        if mac in self._wants:
            self._wants[mac] -= {TRACE, FILES}
            if not self._wants[mac]:
                del self._wants[mac]
        self._lost.discard(mac)
        if reader := self._readers.get(mac):
            reader.stop()

    def on_device_deleted(self, event: DeviceDeleted) -> None:
        """Delete the log and stop the reader. Waits for the close frame: the miner may be registered again at once, and
        allows one connection."""
        mac = event.mac
        self._wants.pop(mac, None)
        self._logs.pop(mac, None)
        if (reader := self._readers.pop(mac, None)) and (greenlet := reader.stop()):
            greenlet.join(GOODBYE_SECONDS + 0.2)
            greenlet.kill()
