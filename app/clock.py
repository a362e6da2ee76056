"""Time as an argument: everything that waits or stores a time takes a Clock, so that tests can use fake time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:  # gunicorn's master, whose log lines have a time, does not import gevent
    from gevent.event import Event

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time that can be stored and compared later, also after a restart of the process.

    `at` is the time of day, which can be changed; None if a record has none. `boot` identifies the start of the host
    since which `seconds` count: on Linux the monotonic clock is the same for all processes of one boot.
    """

    at: datetime | None
    boot: str = ""
    seconds: float = 0.0

    def seconds_until(self, later: Moment) -> float | None:
        """Return the seconds between two moments, negative if `later` was earlier, exact within one boot of the
        host. Across a boot only the time of day is available; None if that ran backwards."""
        if self.boot and self.boot == later.boot:
            return later.seconds - self.seconds
        if self.at is None or later.at is None:
            return None
        elapsed = (later.at - self.at).total_seconds()
        return elapsed if elapsed >= 0 else None

    @property
    def tick(self) -> str:
        """Return `boot` and `seconds` as text, stored beside the time of day."""
        return f"{self.boot} {self.seconds:.3f}"


def stored_moment(at: object, tick: object = None) -> Moment:
    """Return the moment of a record: its time of day and its tick, each of which may be absent or invalid."""
    boot, _, seconds = tick.partition(" ") if isinstance(tick, str) else ("", "", "")
    try:
        day = datetime.fromisoformat(at) if isinstance(at, str) else None
    except ValueError:
        day = None
    if day is not None and day.tzinfo is None:
        day = day.replace(tzinfo=UTC)
    try:
        return Moment(day, boot, float(seconds))
    except ValueError:
        return Moment(day)


class Clock:
    """The machine's clock. Intervals use `monotonic`, or two `moment`s if one of them is stored; `now` is for people
    and records."""

    @cached_property
    def boot(self) -> str:
        """Return an id of this start of the host; a random one if the host has none, so that no stored moment has
        the same."""
        try:
            return BOOT_ID.read_text().strip()
        except OSError:
            return uuid4().hex

    def now(self) -> datetime:
        return datetime.now(UTC)

    def moment(self) -> Moment:
        return Moment(self.now(), self.boot, self.monotonic())

    def current_stamp(self) -> dict[str, str]:
        """Return `at` and `tick` of the present, as records store them; `stored_moment` reads them."""
        moment = self.moment()
        return {"at": format_iso(moment.at or self.now()), "tick": moment.tick}

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        return time.monotonic()

    def wait(self, event: Event, seconds: float) -> bool:
        """Wait at most `seconds` for `event`; return True if it is set."""
        return bool(event.wait(max(seconds, 0.0)))

    def sleep(self, seconds: float) -> None:
        import gevent

        gevent.sleep(seconds)


def format_iso(moment: datetime) -> str:
    """Format a time as ISO-8601 UTC with milliseconds and `Z`, as the Node backend does."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
