"""Sends log lines to Socket.IO clients: each subscriber its devices, and all clients the Node backend's `logs_update`.

A subscriber has its own cursor in the log of each of its devices and reads at its own speed. The ring is the buffer, so
a slow client costs no memory, and replayed and live lines are one sequence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import orjson
from gevent.event import Event

from app.clock import Clock
from app.schemas.log import serialise_line, serialise_lost_lines
from app.services.devices.fleet import Tracked
from app.services.logs.cursor import LogCursor
from app.services.logs.device_log import DeviceLog
from app.services.logs.hub import LogHub
from app.services.logs.log_filter import format_lost_lines
from app.supervision import run_supervised

# Lines are sent in batches: one greenlet switch per batch instead of per line.
TICK_SECONDS = 0.05
# Per device and tick: 1,000 lines per second. Lines beyond that are dropped for browsers, not in the log.
LINES_PER_TICK = 50
# A client with this many packets in its queue gets no more lines until it has read some.
MAX_QUEUED_BEFORE_PAUSE = 200
# `logs_update` lines times clients. All clients get them, and the frontend leaves hundreds connected.
PACKETS_PER_TICK = 250


class LogFeed:
    """Sends one client the lines of the logs that it follows. Owns its cursors and the sending greenlet."""

    def __init__(self, send: Callable[[str, Any], None], count_queued: Callable[[], int]) -> None:
        self._send = send
        self._count_queued = count_queued
        self._cursors: dict[str, LogCursor] = {}
        self._changed = Event()
        self._greenlet: gevent.Greenlet | None = None

    @property
    def macs(self) -> list[str]:
        return list(self._cursors)

    def follow_log(self, cursor: LogCursor) -> None:
        """Follow the log from this cursor. It replaces an earlier cursor of the same device."""
        self.unfollow_log(cursor.log.mac)
        self._cursors[cursor.log.mac] = cursor
        cursor.log.changed.add(self._changed)
        self._changed.set()
        if self._greenlet is None:
            self._greenlet = gevent.spawn(run_supervised, self._run_loop, Clock(), Event(), loop="log feed")

    def unfollow_log(self, mac: str) -> None:
        if cursor := self._cursors.pop(mac, None):
            cursor.log.changed.discard(self._changed)

    def stop(self) -> None:
        for mac in self.macs:
            self.unfollow_log(mac)
        if self._greenlet is not None:
            self._greenlet.kill(block=False)

    def _run_loop(self) -> None:
        while True:
            self._changed.wait()
            self._changed.clear()
            gevent.sleep(TICK_SECONDS)
            for cursor in list(self._cursors.values()):
                if cursor.is_behind:
                    self._send_lines(cursor)

    def _send_lines(self, cursor: LogCursor) -> None:
        if self._count_queued() < MAX_QUEUED_BEFORE_PAUSE:
            batch = cursor.read_batch(LINES_PER_TICK)
            if batch.lost_count:
                self._send("log_line", serialise_lost_lines(cursor.log, batch))
            for entry in batch.entries:
                self._send("log_line", serialise_line(cursor.log, entry))
            gevent.sleep(0)
        if cursor.is_behind:
            self._changed.set()


class LogBroadcast:
    """Sends `logs_update` to all clients while it is on: the live lines of every miner whose log is being read."""

    def __init__(
        self,
        hub: LogHub,
        find_device: Callable[[str], Tracked | None],
        send: Callable[[str, Any], None],
        count_clients: Callable[[], int],
    ) -> None:
        self._hub = hub
        self._find_device = find_device
        self._send = send
        self._count_clients = count_clients
        self._cursors: dict[str, LogCursor] = {}
        self._changed = Event()
        self._greenlet: gevent.Greenlet | None = None

    @property
    def is_on(self) -> bool:
        return self._greenlet is not None

    def switch_broadcast(self, on: bool) -> None:
        """Switch the broadcast on or off. Opens no log stream."""
        if on == self.is_on:
            return
        if on:
            self._cursors = {log.mac: LogCursor.at_end(log) for log in self._hub.list_logs()}
            self._hub.listeners.add(self._changed)
            self._greenlet = gevent.spawn(run_supervised, self._run_loop, Clock(), Event(), loop="log broadcast")
        elif self._greenlet is not None:
            self._hub.listeners.discard(self._changed)
            self._greenlet.kill(block=False)
            self._greenlet = None

    def _run_loop(self) -> None:
        while True:
            self._changed.wait()
            self._changed.clear()
            gevent.sleep(TICK_SECONDS)
            self._send_new_lines()

    def _send_new_lines(self) -> None:
        """Send the new lines of each device, within its share of PACKETS_PER_TICK."""
        behind = [cursor for log in self._hub.list_logs() if (cursor := self._get_cursor(log)).is_behind]
        share = PACKETS_PER_TICK // max(1, self._count_clients()) // max(1, len(behind))
        for cursor in behind:
            self._send_lines(cursor, min(LINES_PER_TICK, max(1, share)))
        if any(cursor.is_behind for cursor in behind):
            self._changed.set()

    def _get_cursor(self, log: DeviceLog) -> LogCursor:
        cursor = self._cursors.get(log.mac)
        if cursor is None or cursor.log is not log:
            cursor = self._cursors[log.mac] = LogCursor(log)
        return cursor

    def _send_lines(self, cursor: LogCursor, limit: int) -> None:
        tracked, batch = self._find_device(cursor.log.mac), cursor.read_batch(limit)
        if tracked is None:
            return
        texts = [format_lost_lines(batch.lost_count)] if batch.lost_count else []
        for text in [*texts, *(entry.line.line for entry in batch.entries if entry.live)]:
            self._send("logs_update", orjson.Fragment(orjson.dumps(_build_node_payload(tracked, text))))
        gevent.sleep(0)


def _build_node_payload(tracked: Tracked, text: str) -> dict[str, Any]:
    record = tracked.device
    return {
        "ip": record.ip,
        "mac": record.mac,
        "type": record.type,
        "createdAt": record.created_at,
        "updatedAt": record.updated_at,
        "info": text,
    }
