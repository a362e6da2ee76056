"""Logs as a user asks for them. One method per thing; reading is the hub's, the past is PastLogs'."""

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
    """A new listener's place in a log, and what it is told at once."""

    cursor: Cursor
    about: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LogPage:
    """A part of a device's log, and how its stream is doing."""

    log: DeviceLog
    state: State
    reason: str | None
    entries: list[Entry]


class LogService:
    """Owns nothing but the ways to ask."""

    def __init__(self, hub: LogHub, past: PastLogs, get: Callable[[str], Tracked], clock: Clock) -> None:
        self.hub = hub
        self._past = past
        self._get = get
        self._clock = clock

    def page(self, mac: str, wanted: Wanted) -> LogPage:
        """What is known of the log; opens no stream. Raises DeviceNotFound."""
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
        """`who` hears the device from `since` on, until the hub is told otherwise. Raises DeviceNotFound."""
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
        """The one spelling of a known device's MAC. Raises DeviceNotFound."""
        return self._get(mac).mac

    def download(self, mac: str) -> tuple[str, Iterator[str]]:
        """The device's MAC, and its log as text. Raises DeviceNotFound."""
        page = self.page(mac, Wanted())
        return page.log.mac, iter(["".join(f"{as_text(entry)}\n" for entry in page.entries)])

    def follow(self, mac: str) -> tuple[str, Iterator[str]]:
        """As `download`, and then each line as it comes, for as long as somebody takes them. Raises DeviceNotFound."""
        tracked = self._get(mac)
        self._past.fill(tracked, self.hub.log_of(tracked))
        return tracked.mac, self._following(tracked)

    def _following(self, tracked: Tracked) -> Iterator[str]:
        """Counts as somebody looking. Who takes nothing for 30 s no longer does: a peer that is gone without a word
        must not keep a miner's stream open. A blank line is the sign of life by which such a peer is found."""
        changed, me = Event(), object()
        with self.hub.wanted(tracked, me) as device_log:
            device_log.changed.add(changed)
            try:
                cursor = Cursor(device_log)
                while not self.hub.stopped:
                    stalled = gevent.spawn_later(FOLLOW_STALL_SECONDS, self.hub.drop, tracked.mac, me)
                    yield_if_due()  # all who follow one device wake at once
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
