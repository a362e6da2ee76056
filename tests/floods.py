"""Start flood peers, and measure their cost for the service: the longest block of the event loop and memory growth."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gevent

SCRIPT = Path(__file__).with_name("flood_peer.py")
TICK_SECONDS = 0.002
PAGE = 4096


@contextmanager
def start_flood_server(mode: str) -> Iterator[int]:
    """Start `flood_peer.py MODE` and yield its port."""
    with _start_peer(mode) as first_line:
        yield int(first_line)


@contextmanager
def start_flood_client(mode: str, host: str, port: int) -> Iterator[None]:
    """Start `flood_peer.py MODE HOST PORT` and yield once it is ready."""
    with _start_peer(mode, host, str(port)) as first_line:
        assert first_line == "ready", first_line
        yield


@contextmanager
def _start_peer(*arguments: str) -> Iterator[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().strip()
        finally:
            process.kill()


class LoopProbe:
    """Measures the event loop and the memory of this process.

    `longest_block`: the longest block in CPU seconds, so that a busy machine does not count. `longest_wait`: the same
    in seconds on the clock. `memory_growth`: in bytes.
    """

    def __init__(self) -> None:
        self.longest_block = self.longest_wait = 0.0
        self._memory_before = read_resident_bytes()
        self._memory_most = self._memory_before

    @property
    def memory_growth(self) -> int:
        return self._memory_most - self._memory_before

    def measure_forever(self) -> None:
        while True:
            began, cpu = time.monotonic(), time.thread_time()
            gevent.sleep(TICK_SECONDS)
            self.longest_block = max(self.longest_block, time.thread_time() - cpu)
            self.longest_wait = max(self.longest_wait, time.monotonic() - began)
            self._memory_most = max(self._memory_most, read_resident_bytes())


@contextmanager
def probe_loop() -> Iterator[LoopProbe]:
    """Measure the event loop while the block runs.

    The garbage collector skips the objects from before, as in gunicorn.conf.py: a full collection in a test process
    takes 0.1 s.
    """
    gc.collect()
    gc.freeze()
    probe = LoopProbe()
    ticking = gevent.spawn(probe.measure_forever)
    gevent.sleep(0)
    try:
        yield probe
    finally:
        gevent.sleep(2 * TICK_SECONDS)  # the probe runs again and counts a block that lasted until here
        ticking.kill()
        gc.unfreeze()


def read_resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
