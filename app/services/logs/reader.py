"""Reads one miner's log stream while it is wanted, with one connection at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import gevent
from gevent.event import Event

from app.clock import Clock
from app.errors import DeviceError, LogStreamTaken, PlutoError
from app.miners.address import Address
from app.miners.dialects import has_single_log_reader
from app.miners.log_lines import LineAssembler, LogLine, has_rebooted
from app.miners.log_stream import LogStream
from app.services.devices.fleet import Fleet, Tracked
from app.services.logs.device_log import DeviceLog
from app.services.logs.reader_policy import ReaderDelay, ReaderPolicy, ReaderState, backoff_after
from app.throttle import throttled

log = logging.getLogger(__name__)

CLOSE_TIMEOUT_SECONDS = 0.5
LINES_PER_YIELD = 50
# A line without its newline is delivered after this time.
FLUSH_AFTER_SECONDS = 1.0
# The cost of a frame depends on its lines and its bytes: this many bytes count as one line.
LINE_BYTES = 256
# The longest pause after one frame.
MAX_PAUSE_SECONDS = 1.0
RESTARTED = "--- the miner restarted ---"
ONE_READER = (
    "This firmware has one log stream, and it is read here: the miner's own log page, if one is open, shows nothing"
)


class LogReader:
    """Owns the connection to a miner's log, and its state. `start` and `stop` may be called at any time and in any
    order; after `stop` there is no further attempt."""

    def __init__(
        self,
        tracked: Tracked,
        device_log: DeviceLog,
        fleet: Fleet,
        verify: Callable[[Tracked], object],
        connect: Callable[[Address], LogStream],
        clock: Clock,
        policy: ReaderPolicy,
        rng: Callable[[], float],
    ) -> None:
        self.state = ReaderState.IDLE
        self.error: PlutoError | None = None
        self._tracked = tracked
        self._log = device_log
        self._fleet = fleet
        self._verify = verify
        self._connect = connect
        self._clock = clock
        self._policy = policy
        self._rng = rng
        self._wanted = False
        self._wake = Event()
        self._stream: LogStream | None = None
        self._greenlet: gevent.Greenlet | None = None
        self._attempts = self._opened = 0
        self._restarts = tracked.restarts
        self._last_uptime: tuple[int, float] | None = None
        self._last_line_at = self._last_pause = 0.0
        self._lines_since_pause = 0

    @property
    def is_taken_over(self) -> bool:
        return self.state is ReaderState.WAITING and isinstance(self.error, LogStreamTaken)

    def start(self) -> None:
        self._wanted = True
        if self._greenlet is None or self._greenlet.dead:
            self._set_state(ReaderState.CONNECTING)
            self._greenlet = gevent.spawn(self._run_loop)

    def stop(self) -> gevent.Greenlet | None:
        """Store no more lines, and close the stream. Return the greenlet, which sends a close frame and ends."""
        self._wanted = False
        self._wake.set()
        self.close_stream()
        return self._greenlet

    def close_stream(self) -> None:
        """Close the open stream, if any. While the reader is wanted it opens another."""
        if self._stream is not None:
            self._stream.send_close()
            gevent.spawn_later(CLOSE_TIMEOUT_SECONDS, self._stream.abort)

    def retry_now(self) -> None:
        """End the wait for the next attempt: there is a new listener, or the miner is online again."""
        self._wake.set()

    def handle_poll(self) -> None:
        """Handle a poll: a restart of the miner ends any wait, because its log stream is free again."""
        if self._tracked.restarts != self._restarts:
            self._restarts = self._tracked.restarts
            self.retry_now()

    def _run_loop(self) -> None:
        while self._wanted:
            began = self._clock.monotonic()
            error = self._attempt_connection()
            if error is not None and self._wanted:
                self._attempts = (
                    0 if self._clock.monotonic() - began >= self._policy.backoff_reset_after else self._attempts
                )
                self._wait_for_retry(backoff_after(error, self._attempts, self._policy, self._rng()), error)
                self._attempts += 1
        self._set_state(ReaderState.IDLE)

    def _attempt_connection(self) -> PlutoError | None:
        """Verify the miner, connect, and read until the stream ends. Return the error, None after `stop`."""
        self._set_state(ReaderState.CONNECTING)
        try:
            self._verify(self._tracked)
            stream = self._stream = self._connect(self._tracked.address)
            try:
                self._read_stream(stream)
            finally:
                self._stream = None
                stream.close()
        except PlutoError as error:
            return error
        except Exception:
            log.exception("log reader crashed", extra={"mac": self._tracked.mac})
            return DeviceError("Internal error; see the service's log")
        return None

    def _read_stream(self, stream: LogStream) -> None:
        one_reader = has_single_log_reader(self._tracked.info)
        self._begin_stream(one_reader)
        assembler = LineAssembler()
        try:
            self._read_frames(stream, assembler, one_reader=one_reader)
        finally:
            self._store_lines(assembler.flush_line())

    def _read_frames(self, stream: LogStream, assembler: LineAssembler, *, one_reader: bool) -> None:
        flush_due: float | None = None
        while self._wanted and self._tracked.address == stream.address:
            frame = stream.read_frame(
                self._policy.read_timeout if flush_due is None else min(self._policy.read_timeout, FLUSH_AFTER_SECONDS)
            )
            if frame:
                self._store_lines(assembler.feed_frame(frame))
            now = self._clock.monotonic()
            if not assembler.has_unflushed:
                flush_due = None
            elif flush_due is None:
                flush_due = now + FLUSH_AFTER_SECONDS
            elif now >= flush_due:
                flush_due = None
                self._store_lines(assembler.flush_line())
            if frame is None and one_reader and now - self._last_line_at >= self._policy.takeover_silence:
                raise LogStreamTaken
            self._yield_and_throttle(_count_frame_lines(frame or b""))

    def _begin_stream(self, one_reader: bool) -> None:
        self._set_state(ReaderState.STREAMING, warning=ONE_READER if one_reader else None)
        self._log.reconnects += self._opened > 0
        self._opened += 1
        self._last_line_at = self._last_pause = self._clock.monotonic()
        log.info("log stream opened", extra={"mac": self._tracked.mac, "ip": str(self._tracked.address)})

    def _store_lines(self, lines: Iterable[LogLine]) -> None:
        for line in throttled(lines):
            if not self._wanted:
                return
            self._last_line_at = self._clock.monotonic()
            if line.uptime_ms is not None:
                self._detect_restart(line.uptime_ms)
            self._log.add_lines([line])

    def _detect_restart(self, stamp: int) -> None:
        before, self._last_uptime = self._last_uptime, (stamp, self._last_line_at)
        if before is not None and has_rebooted(before[0], stamp, (self._last_line_at - before[1]) * 1000):
            self._log.add_note(RESTARTED)

    def _yield_and_throttle(self, lines: int) -> None:
        """Yield to the loop, and keep to the rate limit. Without it, a miner whose data is always ready would hold the
        loop. Unread data stays in the socket. A frame without a line, such as a ping, counts as one."""
        self._lines_since_pause += lines
        if self._lines_since_pause >= LINES_PER_YIELD:
            due = self._last_pause + self._lines_since_pause / self._policy.max_lines_per_second
            self._clock.sleep(min(MAX_PAUSE_SECONDS, max(0.0, due - self._clock.monotonic())))
            self._last_pause, self._lines_since_pause = self._clock.monotonic(), 0

    def _wait_for_retry(self, rest: ReaderDelay, error: PlutoError) -> None:
        if self.error is None:
            log.warning("log stream failed", extra={"mac": self._tracked.mac, "error": str(error)})
        self._set_state(rest.state, error, str(error) if isinstance(error, LogStreamTaken) else None)
        self._wake.clear()
        if rest.seconds is None:
            self._wake.wait()
        else:
            self._clock.wait(self._wake, rest.seconds)

    def _set_state(self, state: ReaderState, error: PlutoError | None = None, warning: str | None = None) -> None:
        """Set the state. The error stays during later attempts, until one succeeds or the reader is idle."""
        self.state = state
        if state is not ReaderState.CONNECTING:
            self.error = error
            self._fleet.set_log_warning(self._tracked, warning)


def _count_frame_lines(frame: bytes) -> int:
    """Return the cost of a frame in lines. Empty lines count too."""
    return max(1, frame.count(b"\n"), len(frame) // LINE_BYTES)
