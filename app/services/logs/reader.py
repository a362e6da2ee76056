"""Reads one miner's log stream while it is wanted, with one connection at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import gevent
from gevent.event import Event

from app.clock import Clock
from app.errors import DeviceError, LogStreamTaken, PlutoError
from app.miners.address import Address
from app.miners.dialects import serves_one_log_reader
from app.miners.log_lines import LineAssembler, LogLine, rebooted
from app.miners.log_stream import LogStream
from app.services.devices.fleet import Fleet, Tracked
from app.services.logs.device_log import DeviceLog
from app.services.logs.policy import LogPolicy, Rest, State, rest_after
from app.throttle import throttled

log = logging.getLogger(__name__)

GOODBYE_SECONDS = 0.5
BREATH_LINES = 50
# A line without its newline is delivered after this time.
FLUSH_AFTER_SECONDS = 1.0
# The cost of a frame depends on its lines and its bytes: this many bytes count as one line.
LINE_BYTES = 256
# The longest pause after one frame.
MAX_BREATH_SECONDS = 1.0
RESTARTED = "--- the miner restarted ---"
ONE_READER = (
    "This firmware has one log stream, and it is read here: the miner's own log page, if one is open, shows nothing"
)


class Reader:
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
        policy: LogPolicy,
        chance: Callable[[], float],
    ) -> None:
        self.state = State.IDLE
        self.error: PlutoError | None = None
        self._tracked = tracked
        self._log = device_log
        self._fleet = fleet
        self._verify = verify
        self._connect = connect
        self._clock = clock
        self._policy = policy
        self._chance = chance
        self._wanted = False
        self._wake = Event()
        self._stream: LogStream | None = None
        self._greenlet: gevent.Greenlet | None = None
        self._attempts = self._opened = 0
        self._restarts = tracked.restarts
        self._stamp: tuple[int, float] | None = None
        self._heard = self._breath = 0.0
        self._unbreathed = 0

    @property
    def taken_over(self) -> bool:
        return self.state is State.WAITING and isinstance(self.error, LogStreamTaken)

    def start(self) -> None:
        self._wanted = True
        if self._greenlet is None or self._greenlet.dead:
            self._enter(State.CONNECTING)
            self._greenlet = gevent.spawn(self._run)

    def stop(self) -> gevent.Greenlet | None:
        """Store no more lines, and close the stream. Return the greenlet, which sends a close frame and ends."""
        self._wanted = False
        self._wake.set()
        self.drop_stream()
        return self._greenlet

    def drop_stream(self) -> None:
        """Close the open stream, if any. While the reader is wanted it opens another."""
        if self._stream is not None:
            self._stream.say_goodbye()
            gevent.spawn_later(GOODBYE_SECONDS, self._stream.abort)

    def nudge(self) -> None:
        """End the wait for the next attempt: there is a new listener, or the miner is online again."""
        self._wake.set()

    def polled(self) -> None:
        """Handle a poll: a restart of the miner ends any wait, because its log stream is free again."""
        if self._tracked.restarts != self._restarts:
            self._restarts = self._tracked.restarts
            self.nudge()

    def _run(self) -> None:
        while self._wanted:
            began = self._clock.monotonic()
            error = self._attempt()
            if error is not None and self._wanted:
                self._attempts = 0 if self._clock.monotonic() - began >= self._policy.steady else self._attempts
                self._rest(rest_after(error, self._attempts, self._policy, self._chance()), error)
                self._attempts += 1
        self._enter(State.IDLE)

    def _attempt(self) -> PlutoError | None:
        """Verify the miner, connect, and read until the stream ends. Return the error, None after `stop`."""
        self._enter(State.CONNECTING)
        try:
            self._verify(self._tracked)
            stream = self._stream = self._connect(self._tracked.address)
            try:
                self._read(stream)
            finally:
                self._stream = None
                stream.close()
        except PlutoError as error:
            return error
        except Exception:
            log.exception("log reader crashed", extra={"mac": self._tracked.mac})
            return DeviceError("Something went wrong here; the log says what")
        return None

    def _read(self, stream: LogStream) -> None:
        one_reader = serves_one_log_reader(self._tracked.info)
        self._begin_stream(one_reader)
        assembler = LineAssembler()
        try:
            self._read_frames(stream, assembler, one_reader=one_reader)
        finally:
            self._take(assembler.flush())

    def _read_frames(self, stream: LogStream, assembler: LineAssembler, *, one_reader: bool) -> None:
        flush_due: float | None = None
        while self._wanted and self._tracked.address == stream.address:
            frame = stream.read(self._policy.tick if flush_due is None else min(self._policy.tick, FLUSH_AFTER_SECONDS))
            if frame:
                self._take(assembler.feed(frame))
            now = self._clock.monotonic()
            if not assembler.has_unflushed:
                flush_due = None
            elif flush_due is None:
                flush_due = now + FLUSH_AFTER_SECONDS
            elif now >= flush_due:
                flush_due = None
                self._take(assembler.flush())
            if frame is None and one_reader and now - self._heard >= self._policy.silence:
                raise LogStreamTaken
            self._breathe(_cost(frame or b""))

    def _begin_stream(self, one_reader: bool) -> None:
        self._enter(State.STREAMING, warning=ONE_READER if one_reader else None)
        self._log.reconnects += self._opened > 0
        self._opened += 1
        self._heard = self._breath = self._clock.monotonic()
        log.info("log stream opened", extra={"mac": self._tracked.mac, "ip": str(self._tracked.address)})

    def _take(self, lines: Iterable[LogLine]) -> None:
        for line in throttled(lines):
            if not self._wanted:
                return
            self._heard = self._clock.monotonic()
            if line.uptime_ms is not None:
                self._note_restart(line.uptime_ms)
            self._log.add([line])

    def _note_restart(self, stamp: int) -> None:
        before, self._stamp = self._stamp, (stamp, self._heard)
        if before is not None and rebooted(before[0], stamp, (self._heard - before[1]) * 1000):
            self._log.note(RESTARTED)

    def _breathe(self, lines: int) -> None:
        """Yield to the loop, and keep to the rate limit. Without it, a miner whose data is always ready would hold the
        loop. Unread data stays in the socket. A frame without a line, such as a ping, counts as one."""
        self._unbreathed += lines
        if self._unbreathed >= BREATH_LINES:
            due = self._breath + self._unbreathed / self._policy.pace
            self._clock.sleep(min(MAX_BREATH_SECONDS, max(0.0, due - self._clock.monotonic())))
            self._breath, self._unbreathed = self._clock.monotonic(), 0

    def _rest(self, rest: Rest, error: PlutoError) -> None:
        if self.error is None:
            log.warning("log stream failed", extra={"mac": self._tracked.mac, "error": str(error)})
        self._enter(rest.state, error, str(error) if isinstance(error, LogStreamTaken) else None)
        self._wake.clear()
        if rest.seconds is None:
            self._wake.wait()
        else:
            self._clock.wait(self._wake, rest.seconds)

    def _enter(self, state: State, error: PlutoError | None = None, warning: str | None = None) -> None:
        """Set the state. The error stays during later attempts, until one succeeds or the reader is idle."""
        self.state = state
        if state is not State.CONNECTING:
            self.error = error
            self._fleet.set_log_warning(self._tracked, warning)


def _cost(frame: bytes) -> int:
    """Return the cost of a frame in lines. Empty lines count too."""
    return max(1, frame.count(b"\n"), len(frame) // LINE_BYTES)
