"""Sends changed devices to the Socket.IO clients that subscribed: the rows of the fleet in batches, or whole devices.

A client of the rows gets one `fleet_update` per second with what changed, instead of a `stat_update` per poll. With
1,000 devices that is one message per second in place of 200.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import gevent
import orjson
from gevent.event import Event

from app.clock import Clock, format_iso
from app.schemas.device import DeviceEncoder
from app.schemas.device_row import serialise_row
from app.services.devices.fleet import Fleet, Tracked
from app.services.devices.rows import DeviceRows
from app.supervision import run_supervised
from app.throttle import throttled

BATCH_SECONDS = 1.0
FLEET_ROOM = "fleet"

_Version = tuple[int, int]


def _get_version(tracked: Tracked) -> _Version:
    """Return what changes with each change of a device. One that is deleted and registered again begins at 0."""
    return (id(tracked), tracked.version)


def device_room(mac: str) -> str:
    return f"device:{mac}"


class FleetFeed:
    """Owns the subscriptions, and the greenlet that sends to them while there are any."""

    def __init__(
        self,
        fleet: Fleet,
        rows: DeviceRows,
        encoder: DeviceEncoder,
        emit: Callable[[str, Any, str], None],
        loop_crashed: Callable[[], None],
        clock: Clock,
    ) -> None:
        """`emit` sends an event with a payload to a room."""
        self._fleet = fleet
        self._rows = rows
        self._encoder = encoder
        self._emit = emit
        self._loop_crashed = loop_crashed
        self._clock = clock
        self._subscribers: set[str] = set()
        self._watched: dict[str, set[str]] = {}
        self._sent_rows: dict[str, _Version] = {}
        self._sent_devices: dict[str, _Version] = {}
        self._stop = Event()
        self._greenlet: gevent.Greenlet | None = None

    @property
    def subscriber_count(self) -> int:
        return len(self._subscribers)

    def subscribe_fleet(self, sid: str) -> None:
        """Send this client rows from now on. It has to load the present ones itself."""
        if not self._subscribers:
            self._sent_rows = self._read_versions()
        self._subscribers.add(sid)
        self._ensure_running()

    def unsubscribe_fleet(self, sid: str) -> None:
        self._subscribers.discard(sid)

    def watch_device(self, sid: str, mac: str) -> None:
        """Send this client a device when it changes, and once at the beginning."""
        self._watched.setdefault(mac, set()).add(sid)
        self._sent_devices.pop(mac, None)
        self._ensure_running()

    def is_registered(self, mac: str) -> bool:
        return self._fleet.find_device(mac) is not None

    def list_watched(self, sid: str) -> list[str]:
        return [mac for mac, watchers in self._watched.items() if sid in watchers]

    def unwatch_device(self, sid: str, mac: str) -> None:
        watchers = self._watched.get(mac, set())
        watchers.discard(sid)
        if not watchers:
            self._watched.pop(mac, None)
            self._sent_devices.pop(mac, None)

    def remove_client(self, sid: str) -> None:
        self.unsubscribe_fleet(sid)
        for mac in self.list_watched(sid):
            self.unwatch_device(sid, mac)

    def send_changes(self) -> None:
        """Send what changed since the last call."""
        if self._subscribers:
            self._send_rows()
        for mac in list(self._watched):
            self._send_device(mac)

    def stop(self) -> None:
        """Send nothing from now on."""
        self._stop.set()
        if self._greenlet is not None:
            self._greenlet.join()

    def _ensure_running(self) -> None:
        if self._greenlet is None or self._greenlet.dead:
            self._greenlet = gevent.spawn(
                run_supervised, self._run_loop, self._clock, self._stop, self._loop_crashed, loop="fleet_feed"
            )

    def _run_loop(self) -> None:
        while (self._subscribers or self._watched) and not self._clock.wait(self._stop, BATCH_SECONDS):
            self.send_changes()

    def _read_versions(self) -> dict[str, _Version]:
        return {tracked.mac: _get_version(tracked) for tracked in self._fleet.all_devices()}

    def _send_rows(self) -> None:
        present = self._read_versions()
        changed = [mac for mac, version in present.items() if self._sent_rows.get(mac) != version]
        removed = [mac for mac in self._sent_rows if mac not in present]
        self._sent_rows = present
        if not changed and not removed:
            return
        devices = list(self._serialise_rows(changed))
        update = {"at": format_iso(self._clock.now()), "devices": devices, "removed": removed}
        self._emit("fleet_update", orjson.Fragment(orjson.dumps(update)), FLEET_ROOM)

    def _serialise_rows(self, macs: Iterable[str]) -> Iterable[dict[str, Any]]:
        for mac in throttled(macs):
            if tracked := self._fleet.find_device(mac):
                yield serialise_row(self._rows.get_row(tracked))

    def _send_device(self, mac: str) -> None:
        tracked = self._fleet.find_device(mac)
        if tracked is not None and self._sent_devices.get(mac) != _get_version(tracked):
            self._sent_devices[mac] = _get_version(tracked)
            self._emit("device_update", orjson.Fragment(self._encoder.encode_device(tracked)), device_room(mac))
