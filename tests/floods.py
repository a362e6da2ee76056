"""Floods from another process, and what they cost the service: the longest block of the event loop, memory."""

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
def flood_server(mode: str) -> Iterator[int]:
    """Start `flood_peer.py MODE` and yield its port."""
    with _started(mode) as first_line:
        yield int(first_line)


@contextmanager
def flood_client(mode: str, host: str, port: int) -> Iterator[None]:
    """Start `flood_peer.py MODE HOST PORT` and yield once it is ready."""
    with _started(mode, host, str(port)) as first_line:
        assert first_line == "ready", first_line
        yield


@contextmanager
def _started(*arguments: str) -> Iterator[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().strip()
        finally:
            process.kill()


class LoopProbe:
    """The longest block of this process' event loop, in seconds on the CPU (`longest_block`: a busy machine does not
    count) and on the clock (`longest_wait`), and the growth of its memory in bytes (`memory_growth`)."""

    def __init__(self) -> None:
        self.longest_block = self.longest_wait = 0.0
        self._memory_before = resident_bytes()
        self._memory_most = self._memory_before

    @property
    def memory_growth(self) -> int:
        return self._memory_most - self._memory_before

    def run(self) -> None:
        while True:
            began, cpu = time.monotonic(), time.thread_time()
            gevent.sleep(TICK_SECONDS)
            self.longest_block = max(self.longest_block, time.thread_time() - cpu)
            self.longest_wait = max(self.longest_wait, time.monotonic() - began)
            self._memory_most = max(self._memory_most, resident_bytes())


@contextmanager
def probed_loop() -> Iterator[LoopProbe]:
    """Measure the event loop while the block runs. What is there before is spared by the collector, as gunicorn.conf.py
    does: a full collection over a test process' objects takes 0.1 s."""
    gc.collect()
    gc.freeze()
    probe = LoopProbe()
    ticking = gevent.spawn(probe.run)
    gevent.sleep(0)
    try:
        yield probe
    finally:
        gevent.sleep(2 * TICK_SECONDS)  # a block that lasted until here is counted when the probe runs again
        ticking.kill()
        gc.unfreeze()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
