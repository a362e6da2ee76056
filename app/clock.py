"""Time, as an argument: everything that waits or stamps takes a Clock, so that tests can bring their own."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:  # gunicorn's master, whose log lines have a time, does without gevent
    from gevent.event import Event

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time that can be stored and compared later, after a restart of the process too.

    `at` is the time of day, which anybody may set; None where a record holds none. `boot` names the start of the host
    since which `seconds` are counted: on Linux the monotonic clock is the same for all processes of one boot.
    """

    at: datetime | None
    boot: str = ""
    seconds: float = 0.0

    def seconds_until(self, later: Moment) -> float | None:
        """The seconds between two moments, negative where `later` was earlier, exact within one boot of the host.
        Across a boot only the time of day tells; None where that ran backwards, for then nothing is known."""
        if self.boot and self.boot == later.boot:
            return later.seconds - self.seconds
        if self.at is None or later.at is None:
            return None
        elapsed = (later.at - self.at).total_seconds()
        return elapsed if elapsed >= 0 else None

    @property
    def tick(self) -> str:
        """`boot` and `seconds` as text, to be stored beside the time of day."""
        return f"{self.boot} {self.seconds:.3f}"


def stored_moment(at: object, tick: object = None) -> Moment:
    """The moment of a record: its time of day and its tick, each of which may be absent or unreadable."""
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
    """The machine's clock. Intervals use `monotonic`, or two `moment`s where one of them is stored; `now` is for people
    and records only."""

    @cached_property
    def boot(self) -> str:
        """Names this start of the host. Where the host does not tell, no stored moment is of the same boot."""
        try:
            return BOOT_ID.read_text().strip()
        except OSError:
            return uuid4().hex

    def now(self) -> datetime:
        return datetime.now(UTC)

    def moment(self) -> Moment:
        return Moment(self.now(), self.boot, self.monotonic())

    def stamp(self) -> dict[str, str]:
        """Return `at` and `tick` of the present, as records store them; `stored_moment` reads them."""
        moment = self.moment()
        return {"at": iso(moment.at or self.now()), "tick": moment.tick}

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()

    def wait(self, event: Event, seconds: float) -> bool:
        """Wait at most `seconds` for `event`; True when it is set."""
        return bool(event.wait(max(seconds, 0.0)))

    def sleep(self, seconds: float) -> None:
        import gevent

        gevent.sleep(seconds)


def iso(moment: datetime) -> str:
    """ISO-8601 UTC with milliseconds and `Z`, the form the original writes."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
