"""Decides whether the time of day can be trusted enough to record under it.

A Raspberry Pi has no clock: it boots in the past and gets the time from the network minutes later. Nothing is recorded
under a time that cannot be right, because samples would overwrite others.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

from app.clock import Clock

log = logging.getLogger(__name__)

# A time of day before this is wrong: no version with a history is older.
BUILD_TIME = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
# Recorded times that are further apart are separate spans: between them is room for a clock that was set back.
SPAN_GAP_SECONDS = 86400.0
# A clock that is behind recorded data, but where none is, is believed after it ran this long without a jump.
BELIEVED_AFTER_SECONDS = 3600.0
JUMP_SECONDS = 60.0
# The clock may be slowed down or set back by so much without a pause in the recording.
SLEW_SECONDS = 2.0
MAX_SPANS = 100

Span = list[float]


class Timekeeper:
    """Owns the spans of time that were recorded, and gives the time of the present sample or None.

    Time may only go forward within the recorded spans. If it is before the newest one, and outside of all others, the
    newest was recorded under a clock that was ahead; then recording starts once the clock has run for an hour.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._spans: list[Span] = []
        self._warned = False
        self._behind_since: float | None = None
        self._offset = 0.0

    @property
    def spans(self) -> list[Span]:
        """Return the recorded spans, oldest first, as stored with each flush."""
        return [list(span) for span in self._spans]

    @property
    def is_waiting(self) -> bool:
        """Return True if the time of day was not plausible when it was last used."""
        return self._warned

    @property
    def newest(self) -> float | None:
        """Return the newest recorded time."""
        return self._spans[-1][1] if self._spans else None

    def load_spans(self, spans: object) -> None:
        if isinstance(spans, list):
            self._spans = sorted([float(first), float(last)] for first, last in spans)[-MAX_SPANS:]

    def current_time(self) -> float | None:
        """Return the time of day in Unix seconds, or None while it is not plausible. Warns once."""
        now, monotonic = self._clock.now().timestamp(), self._clock.monotonic()
        if abs(now - monotonic - self._offset) > JUMP_SECONDS:
            self._offset, self._behind_since = now - monotonic, None
        if self._spans and 0 < self._spans[-1][1] - now <= SLEW_SECONDS:
            return self._spans[-1][1]
        if self._is_recordable(now, monotonic):
            self._extend_spans(now)
            if self._warned:
                self._warned = False
                log.info("the time of day is plausible; the history records again")
            return now
        if not self._warned:
            self._warned = True
            log.warning(
                "the time of day is behind recorded times; the history records nothing until it is plausible",
                extra={"now": now, "newest": self._spans[-1][1] if self._spans else BUILD_TIME},
            )
        return None

    def trusted_time(self, now: float) -> float:
        """Return the time by which old samples may be deleted: a clock that jumped far ahead deletes nothing in its
        first day."""
        for before, (first, last) in pairwise(self._spans):
            if first <= now <= last and now - first < SPAN_GAP_SECONDS:
                return before[1]
        return now

    def _is_recordable(self, now: float, monotonic: float) -> bool:
        if now < BUILD_TIME:
            return False
        if not self._spans or now >= self._spans[-1][1]:
            return True
        if is_inside_span(now, self._spans):
            return False
        if any(0 <= now - last <= SPAN_GAP_SECONDS for _, last in self._spans):
            return True
        if self._behind_since is None:
            self._behind_since = monotonic
        return monotonic - self._behind_since >= BELIEVED_AFTER_SECONDS

    def _extend_spans(self, now: float) -> None:
        for span in self._spans:
            if span[0] <= now <= span[1] + SPAN_GAP_SECONDS:
                span[1] = max(span[1], now)
                return
        self._spans = sorted([*self._spans, [now, now]])[-MAX_SPANS:]


def is_inside_span(now: float, spans: Sequence[Span]) -> bool:
    """Return True if recorded data may exist at this time, or follows within a day of it."""
    return any(first - SPAN_GAP_SECONDS <= now < last for first, last in spans)
