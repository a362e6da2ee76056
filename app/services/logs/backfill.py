"""Backfills a device's log from the log that the miner keeps (GET /api/system/logs, AxeOS ≥ 2.14)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from gevent.lock import BoundedSemaphore

from app.clock import Clock
from app.errors import PlutoError
from app.events import DeviceDeleted
from app.miners.dialects import has_past_log
from app.miners.log_lines import LineAssembler, LogLine
from app.services.devices.fleet import Tracked
from app.services.logs.device_log import NOTE_TAG, DeviceLog
from app.services.logs.ring_buffer import MAX_BYTES, MAX_LINES
from app.throttle import throttled

log = logging.getLogger(__name__)

REFETCH_AFTER_SECONDS = 60.0
RESTART_MARK = "--- SYSTEM RESTART ---"


@dataclass(frozen=True, slots=True)
class MissingLines:
    """The fetched lines that the ring lacks: those before its first line, and those after its last."""

    before: list[LogLine]
    after: list[LogLine]


def find_missing_lines(known: list[LogLine], fetched: list[LogLine], *, streaming: bool) -> MissingLines:
    """Return the fetched lines that are missing from `known`, the ring without our notes. Pure.

    Lines between two streams are not inserted: the numbers are consecutive and already in use. While a stream is open
    it delivers newer lines itself.
    """
    if not known:
        return MissingLines(fetched, [])
    first, last = _find_last_index(known[0], fetched), _find_last_index(known[-1], fetched)
    after = [] if streaming or last is None else fetched[last + 1 :]
    if first is None and last is None:
        return _compare_by_uptime(known, fetched, streaming=streaming)
    return MissingLines(fetched[:first] if first is not None else [], after)


def _find_last_index(line: LogLine, fetched: list[LogLine]) -> int | None:
    """Return the last index of this line. None if it has no uptime stamp: equal lines cannot be told apart."""
    if line.uptime_ms is None:
        return None
    return next((at for at in range(len(fetched) - 1, -1, -1) if fetched[at].line == line.line), None)


def _compare_by_uptime(known: list[LogLine], fetched: list[LogLine], *, streaming: bool) -> MissingLines:
    """Compare logs without a common line by uptime: one is wholly before the other, within one boot of the miner."""
    stamps = [line.uptime_ms for line in known if line.uptime_ms is not None]
    boot = lines_since_boot(fetched)
    newest = next((line.uptime_ms for line in reversed(boot) if line.uptime_ms is not None), None)
    oldest = next((line.uptime_ms for line in boot if line.uptime_ms is not None), None)
    if not stamps or newest is None or oldest is None:
        return MissingLines([], [])
    if newest <= stamps[0] and stamps == sorted(stamps):
        return MissingLines(fetched, [])
    return MissingLines([], [] if streaming or oldest < stamps[-1] else boot)


def lines_since_boot(fetched: list[LogLine]) -> list[LogLine]:
    """Return the lines after the last restart mark."""
    marks = [at for at, line in enumerate(fetched) if line.line == RESTART_MARK]
    return fetched[marks[-1] + 1 :] if marks else fetched


def make_age_function(fetched: list[LogLine]) -> Callable[[LogLine], float | None]:
    """Return a function from a line to its age in ms, relative to the newest line; None for lines of earlier boots."""
    boot = lines_since_boot(fetched)
    known = {id(line) for line in boot}
    newest = max((line.uptime_ms for line in boot if line.uptime_ms is not None), default=None)

    def age(line: LogLine) -> float | None:
        stamped = newest is not None and line.uptime_ms is not None and id(line) in known
        return float(newest - line.uptime_ms) if stamped else None  # type: ignore[operator]  # both are there

    return age


class LogBackfill:
    """Fetches miners' own logs. Owns the time of the last fetch per device. Only on demand: the miner serves no other
    request meanwhile."""

    def __init__(self, fetch: Callable[[Tracked], bytes], is_streaming: Callable[[str], bool], clock: Clock) -> None:
        self._fetch = fetch
        self._is_streaming = is_streaming
        self._clock = clock
        self._last_fetch: dict[str, tuple[str, float]] = {}
        self._locks: dict[str, BoundedSemaphore] = {}

    def backfill_log(self, tracked: Tracked, device_log: DeviceLog) -> None:
        """Insert the missing lines, once per ring; without an open stream again, at most once a minute. If the fetch
        fails the ring stays unchanged."""
        if not has_past_log(tracked.info) or not tracked.monitored:
            return
        with self._locks.setdefault(tracked.mac, BoundedSemaphore(1)):
            if self._is_fetch_due(device_log):
                self._last_fetch[tracked.mac] = device_log.epoch, self._clock.monotonic()
                self._fetch_and_insert(tracked, device_log)

    def on_device_deleted(self, event: DeviceDeleted) -> None:
        self._last_fetch.pop(event.mac, None)
        self._locks.pop(event.mac, None)

    def _is_fetch_due(self, device_log: DeviceLog) -> bool:
        epoch, at = self._last_fetch.get(device_log.mac, ("", 0.0))
        again = not self._is_streaming(device_log.mac) and self._clock.monotonic() - at >= REFETCH_AFTER_SECONDS
        return epoch != device_log.epoch or again

    def _fetch_and_insert(self, tracked: Tracked, device_log: DeviceLog) -> None:
        try:
            fetched = _parse_lines(self._fetch(tracked))
        except PlutoError as error:
            log.info("log backfill failed", extra={"mac": tracked.mac, "error": str(error)})
            return
        heard = [entry.line for entry in device_log.ring.all_entries() if entry.line.tag != NOTE_TAG]
        past = find_missing_lines(heard, fetched, streaming=self._is_streaming(tracked.mac))
        device_log.insert_older_lines(past.before, make_age_function(fetched))
        device_log.append_missed_lines(past.after, make_age_function(fetched))


def _parse_lines(body: bytes) -> list[LogLine]:
    """Parse the last lines of the body, as many as fit into a ring. Yields to the event loop."""
    tail = body[-MAX_BYTES:]
    if len(tail) < len(body):
        tail = tail.partition(b"\n")[2]
    assembler = LineAssembler()
    lines: list[LogLine] = []
    for raw in throttled(tail.split(b"\n")[-MAX_LINES - 1 :]):
        lines += assembler.feed_frame(raw + b"\n")
    return lines
