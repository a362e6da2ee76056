"""Clocks that a test moves, a TCP server with scripted answers, and checks for leaked files and greenlets."""

from __future__ import annotations

import gc
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import gevent
from gevent.event import Event
from gevent.server import StreamServer

from app.clock import Clock

T = TypeVar("T")


def wait_until(probe: Callable[[], T], within: float = 5.0) -> T:
    """Return the first true value of `probe`. Fail when there is none within `within` seconds of real time."""
    until = time.monotonic() + within
    while not (value := probe()):
        assert time.monotonic() < until, f"not true within {within:g} s"
        gevent.sleep(0.005)
    return value


class FakeClock(Clock):
    """A clock that stands still until `advance`. A waiting greenlet wakes when it is due or its event is set."""

    def __init__(self) -> None:
        self._begin = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        self._seconds = 1000.0
        self.boot = uuid4().hex
        self._moved = Event()
        self._waiting: dict[Any, float] = {}
        self._awaited: dict[Any, Event] = {}
        self._known: set[Any] = set()

    def now(self) -> datetime:
        return self._begin + timedelta(seconds=self._seconds - 1000.0)

    def monotonic(self) -> float:
        return self._seconds

    def shift_time_of_day(self, by: timedelta) -> None:
        """Set the time of day forward or back; the monotonic time stays."""
        self._begin += by

    def reboot_host(self) -> None:
        """Start a new boot of the host, between two services: earlier monotonic seconds are invalid afterwards."""
        self.boot = uuid4().hex

    def wait(self, event: Event, seconds: float) -> bool:
        current, due = gevent.getcurrent(), self._seconds + max(seconds, 0.0)
        self._known.add(current)
        try:
            while not event.is_set() and self._seconds < due:
                self._waiting[current], self._awaited[current] = due, event
                gevent.wait([event, self._moved], count=1)
        finally:
            self._waiting.pop(current, None)
            self._awaited.pop(current, None)
        return event.is_set()

    def advance(self, seconds: float) -> None:
        """Move time forward; return before the greenlets that are due have run."""
        self._seconds += seconds
        self._waiting = {greenlet: due for greenlet, due in self._waiting.items() if due > self._seconds}
        moved, self._moved = self._moved, Event()
        moved.set()

    @property
    def is_idle(self) -> bool:
        """True if each greenlet that ever waited has ended or waits again for a time or an event in the future."""
        self._known = {greenlet for greenlet in self._known if not greenlet.dead}
        return all(each in self._waiting and not self._awaited[each].is_set() for each in self._known)


class AdjustableClock(Clock):
    """Real time with a time of day that a test can set."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self._ahead

    def shift_time_of_day(self, by: timedelta) -> None:
        self._ahead += by


class ScriptedServer:
    """A TCP server on loopback: the nth connection is handled by the nth script, all further ones by the last."""

    def __init__(self, *scripts: Callable[[Any], None], host: str = "127.0.0.1") -> None:
        self._scripts = list(scripts)
        self.accepted = 0
        self.requests: list[bytes] = []
        self._server = StreamServer((host, 0), self._serve, backlog=256)
        self._server.init_socket()
        self.host, self.port = self._server.socket.getsockname()

    def __enter__(self) -> ScriptedServer:
        self._server.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.stop(timeout=0.1)

    def _serve(self, opened: Any, _: Any) -> None:
        script = self._scripts[min(self.accepted, len(self._scripts) - 1)]
        self.accepted += 1
        with suppress(OSError):
            script(opened)

    def read_request(self, opened: Any) -> bytes:
        """Return one request up to its empty line and append it to `requests`; b"" at the end of the connection."""
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = opened.recv(65536)
            if not chunk:
                return b""
            data += chunk
        self.requests.append(data)
        return data


def reset_connection(opened: Any) -> None:
    """End a connection by RST, as a restarting miner does."""
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    opened.close()


def count_open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def count_live_greenlets() -> int:
    gc.collect()
    return sum(isinstance(each, gevent.Greenlet) and not each.dead for each in gc.get_objects())


@contextmanager
def assert_no_leaks(files: int = 0) -> Iterator[None]:
    """Check that the block leaves as many open files and greenlets as before; `files` more are allowed (caches)."""
    before = count_open_files(), count_live_greenlets()
    yield
    wait_until(lambda: count_open_files() <= before[0] + files and count_live_greenlets() <= before[1])


def find_free_port() -> int:
    """Return a port on which no process of this host listens."""
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        port: int = probe.getsockname()[1]
        return port
