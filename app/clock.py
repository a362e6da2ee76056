"""Time, as an argument: everything that waits or stamps takes a Clock, so that tests can bring their own."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # gunicorn's master, whose log lines have a time, does without gevent
    from gevent.event import Event


class Clock:
    """The machine's clock. Intervals use `monotonic`; `now` is for people and records only."""

    def now(self) -> datetime:
        return datetime.now(UTC)

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
