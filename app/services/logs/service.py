"""Access to device logs for the API: pages, subscriptions, and downloads."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import gevent
from gevent.event import Event

from app.clock import Clock
from app.services.devices.fleet import Tracked
from app.services.logs.backfill import LogBackfill
from app.services.logs.cursor import LogCursor
from app.services.logs.device_log import DeviceLog
from app.services.logs.hub import LogHub
from app.services.logs.log_filter import LogFilter, filter_entries, format_entry, format_lost_lines
from app.services.logs.reader_policy import ReaderState
from app.services.logs.ring_buffer import MAX_LINES, LogEntry
from app.throttle import yield_if_due

FOLLOW_TICK_SECONDS = 0.2
FOLLOW_KEEPALIVE_SECONDS = 15.0
FOLLOW_STALL_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class LogSubscription:
    """The cursor of a new listener, and the fields of its acknowledgement."""

    cursor: LogCursor
    acknowledgement: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LogPage:
    """Entries of a device's log, and the state of its stream."""

    log: DeviceLog
    state: ReaderState
    reason: str | None
    entries: list[LogEntry]


class LogService:
    """Serves logs from the hub, after a backfill where that is possible."""

    def __init__(self, hub: LogHub, backfill: LogBackfill, get_device: Callable[[str], Tracked], clock: Clock) -> None:
        self.hub = hub
        self._backfill = backfill
        self._get_device = get_device
        self._clock = clock

    def read_page(self, mac: str, log_filter: LogFilter) -> LogPage:
        """Return the entries that pass the filter, and the stream's state. Opens no stream.

        Raises: DeviceNotFound.
        """
        tracked = self._get_device(mac)
        device_log = self.hub.get_log(tracked)
        self._backfill.backfill_log(tracked, device_log)
        cursor = LogCursor(device_log, log_filter.since, log_filter.epoch)
        reader = self.hub.find_reader(tracked.mac)
        return LogPage(
            device_log,
            reader.state if reader else ReaderState.IDLE,
            str(reader.error) if reader and reader.error else None,
            filter_entries(device_log.ring.entries_after(cursor.seq), log_filter),
        )

    def add_subscription(self, mac: str, listener: Hashable, since: int | None, epoch: str | None) -> LogSubscription:
        """Add a listener to the device's log, from `since` on, until `LogHub.remove_listener`.

        Raises: DeviceNotFound.
        """
        tracked = self._get_device(mac)
        device_log = self.hub.add_listener(tracked, listener)
        reader = self.hub.find_reader(tracked.mac)
        about = {
            "mac": tracked.mac,
            "epoch": device_log.epoch,
            "state": str(reader.state if reader else ReaderState.IDLE),
            "last": device_log.last_seq,
            **({"warning": tracked.log_warning} if tracked.log_warning else {}),
        }
        return LogSubscription(LogCursor(device_log, since, epoch), about)

    def get_canonical_mac(self, mac: str) -> str:
        """Return the canonical MAC of a known device.

        Raises: DeviceNotFound.
        """
        return self._get_device(mac).mac

    def download_log(self, mac: str) -> tuple[str, Iterator[str]]:
        """Return the device's MAC, and its log as text.

        Raises: DeviceNotFound.
        """
        page = self.read_page(mac, LogFilter())
        return page.log.mac, iter(["".join(f"{format_entry(entry)}\n" for entry in page.entries)])

    def follow_log(self, mac: str) -> tuple[str, Iterator[str]]:
        """Return the device's MAC, and its log as text, followed by each new line while the client reads.

        Raises: DeviceNotFound.
        """
        tracked = self._get_device(mac)
        self._backfill.backfill_log(tracked, self.hub.get_log(tracked))
        return tracked.mac, self._stream_lines(tracked)

    def _stream_lines(self, tracked: Tracked) -> Iterator[str]:
        """Yield text of new lines, as a listener of the hub.

        A client that reads nothing for 30 s is removed: a dead peer must not keep a miner's stream open. A blank line
        every 15 s (keepalive) detects such peers.
        """
        changed, me = Event(), object()
        with self.hub.listening(tracked, me) as device_log:
            device_log.changed.add(changed)
            try:
                cursor = LogCursor(device_log)
                while not self.hub.is_stopped:
                    stalled = gevent.spawn_later(FOLLOW_STALL_SECONDS, self.hub.remove_listener, tracked.mac, me)
                    yield_if_due()  # all followers of one device wake at once
                    yield _format_new_lines(cursor)
                    if stalled.ready():
                        return
                    stalled.kill(block=False)
                    if not cursor.is_behind:
                        self._clock.wait(changed, FOLLOW_KEEPALIVE_SECONDS)
                        changed.clear()
                        self._clock.sleep(FOLLOW_TICK_SECONDS)
            finally:
                device_log.changed.discard(changed)


def _format_new_lines(cursor: LogCursor) -> str:
    batch = cursor.read_batch(MAX_LINES)
    lines = [format_lost_lines(batch.lost_count)] if batch.lost_count else []
    return "\n".join([*lines, *(format_entry(entry) for entry in batch.entries), ""]) or "\n"
