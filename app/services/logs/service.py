"""Access to device logs for the API: pages, subscriptions, and downloads."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import gevent
from gevent.event import Event

from app.clock import Clock
from app.services.devices.fleet import Tracked
from app.services.logs.backfill import PastLogs
from app.services.logs.cursor import Cursor
from app.services.logs.device_log import DeviceLog
from app.services.logs.hub import LogHub
from app.services.logs.policy import State
from app.services.logs.ring import MAX_LINES, Entry
from app.services.logs.text import Wanted, as_text, chosen, lost_text
from app.throttle import yield_if_due

FOLLOW_TICK_SECONDS = 0.2
FOLLOW_SIGN_SECONDS = 15.0
FOLLOW_STALL_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Subscription:
    """The cursor of a new listener, and the fields of its acknowledgement."""

    cursor: Cursor
    about: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LogPage:
    """Entries of a device's log, and the state of its stream."""

    log: DeviceLog
    state: State
    reason: str | None
    entries: list[Entry]


class LogService:
    """Serves logs from the hub, after a backfill where that is possible."""

    def __init__(self, hub: LogHub, past: PastLogs, get: Callable[[str], Tracked], clock: Clock) -> None:
        self.hub = hub
        self._past = past
        self._get = get
        self._clock = clock

    def page(self, mac: str, wanted: Wanted) -> LogPage:
        """Return the entries that pass the filter, and the stream's state. Opens no stream.

        Raises: DeviceNotFound.
        """
        tracked = self._get(mac)
        device_log = self.hub.log_of(tracked)
        self._past.fill(tracked, device_log)
        cursor = Cursor(device_log, wanted.since, wanted.epoch)
        reader = self.hub.reader_of(tracked.mac)
        return LogPage(
            device_log,
            reader.state if reader else State.IDLE,
            str(reader.error) if reader and reader.error else None,
            chosen(device_log.ring.after(cursor.seq), wanted),
        )

    def subscribe(self, mac: str, who: Hashable, since: int | None, epoch: str | None) -> Subscription:
        """Add a listener to the device's log, from `since` on, until `LogHub.remove_listener`.

        Raises: DeviceNotFound.
        """
        tracked = self._get(mac)
        device_log = self.hub.want(tracked, who)
        reader = self.hub.reader_of(tracked.mac)
        about = {
            "mac": tracked.mac,
            "epoch": device_log.epoch,
            "state": str(reader.state if reader else State.IDLE),
            "last": device_log.last,
            **({"warning": tracked.log_warning} if tracked.log_warning else {}),
        }
        return Subscription(Cursor(device_log, since, epoch), about)

    def mac_of(self, mac: str) -> str:
        """Return the canonical MAC of a known device.

        Raises: DeviceNotFound.
        """
        return self._get(mac).mac

    def download(self, mac: str) -> tuple[str, Iterator[str]]:
        """Return the device's MAC, and its log as text.

        Raises: DeviceNotFound.
        """
        page = self.page(mac, Wanted())
        return page.log.mac, iter(["".join(f"{as_text(entry)}\n" for entry in page.entries)])

    def follow(self, mac: str) -> tuple[str, Iterator[str]]:
        """Return the device's MAC, and its log as text, followed by each new line while the client reads.

        Raises: DeviceNotFound.
        """
        tracked = self._get(mac)
        self._past.fill(tracked, self.hub.log_of(tracked))
        return tracked.mac, self._following(tracked)

    def _following(self, tracked: Tracked) -> Iterator[str]:
        """Yield text of new lines, as a listener of the hub.

        A client that reads nothing for 30 s is removed: a dead peer must not keep a miner's stream open. A blank line
        every 15 s (keepalive) detects such peers.
        """
        changed, me = Event(), object()
        with self.hub.wanted(tracked, me) as device_log:
            device_log.changed.add(changed)
            try:
                cursor = Cursor(device_log)
                while not self.hub.stopped:
                    stalled = gevent.spawn_later(FOLLOW_STALL_SECONDS, self.hub.drop, tracked.mac, me)
                    yield_if_due()  # all followers of one device wake at once
                    yield _following_text(cursor)
                    if stalled.ready():
                        return
                    stalled.kill(block=False)
                    if not cursor.behind:
                        self._clock.wait(changed, FOLLOW_SIGN_SECONDS)
                        changed.clear()
                        self._clock.sleep(FOLLOW_TICK_SECONDS)
            finally:
                device_log.changed.discard(changed)


def _following_text(cursor: Cursor) -> str:
    batch = cursor.take(MAX_LINES)
    lines = [lost_text(batch.lost)] if batch.lost else []
    return "\n".join([*lines, *(as_text(entry) for entry in batch.entries), ""]) or "\n"
