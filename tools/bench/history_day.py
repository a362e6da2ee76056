"""Fast-forwards the stores of the service through some hours in one process: `... FOLDER FIRMWARE N HOURS on|off`.

The real runtime records polls every 5 s and writes history, readings and events, with a clock that is stepped. Miners
are simulated without sockets. The result is one line of JSON.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from app.events import DevicePolled
from app.miners.cleaning import clean_info
from app.models import Device, Reading, next_observation
from app.runtime import Runtime
from app.services.history.service import FLUSH_SECONDS
from app.services.logs.reader_policy import ReaderPolicy
from app.settings import Settings
from simulator import mac_of, make_specs
from simulator.socketless_miner import SocketlessMiner
from tools.demo_history import SteppedClock

from .measurements import read_cpu_seconds, read_rss_bytes, read_written_bytes

BEGIN = datetime(2026, 2, 1, tzinfo=UTC)
HOUR = 3600
POLL_SECONDS = 5
# The kernel writes a page so long after it was changed. Here that much time passes in milliseconds, so a log that
# LevelDB deletes would never be written.
WRITEBACK_SECONDS = 30
CLOCK_TICK_NS = 20_000_000  # The kernel's time of a change is so much behind at most.
# More devices than these share the answers: the simulation of an answer costs more than its recording.
DISTINCT_MINERS = 5


class FastForward:
    """Owns the runtime of which only the stores and their loops are started."""

    def __init__(self, folder: Path, firmware: str, count: int, *, history: bool) -> None:
        settings = Settings(data_dir=folder, poll_interval=POLL_SECONDS)
        if not history:
            settings = replace(settings, history_raw_hours=0, history_1m_days=0, history_15m_days=0)
        folder.mkdir()
        self._clock = SteppedClock(BEGIN)
        rng = Random(1)
        self._runtime = Runtime(settings, self._clock, rng.random, ReaderPolicy())
        self._offline_after = settings.offline_after_failures
        specs = make_specs(min(count, DISTINCT_MINERS), firmware)
        self._miners = [SocketlessMiner(spec, rng, self._clock.monotonic) for spec in specs]
        runtime = self._runtime
        runtime.stores.open(self._clock)
        runtime.event_observer.load_watches()
        for service in (runtime.event_log, runtime.write_behind, runtime.history):
            service.start()
        devices = [Device(mac_of(number), "127.0.0.1", created_at=BEGIN.isoformat()) for number in range(count)]
        self._tracked = runtime.fleet.save_devices(devices)
        for tracked in self._tracked:
            runtime.fleet.set_monitored(tracked, True)
        self._synced = 0
        self._databases = [database.path for database in runtime.stores.all_databases()]

    def run_hours(self, hours: int) -> dict[str, Any]:
        """Return bytes written by the end of each hour, memory and CPU. `background_cpu_per_1000`: of the seconds in
        which the history only flushes or rolls up: no poll and no sum over the fleet is recorded then."""
        pid = os.getpid()
        written, rss, background = [read_written_bytes(pid)], 0, 0.0
        for second in range(1, hours * HOUR + 1):
            before = read_cpu_seconds(pid)
            self._clock.advance(1)
            if second % POLL_SECONDS or not second % FLUSH_SECONDS:
                background += read_cpu_seconds(pid) - before
            if not second % POLL_SECONDS:
                self._record_polls()
            if second % FLUSH_SECONDS == FLUSH_SECONDS - 1:
                rss = read_rss_bytes(pid)  # the buffers are full
            if not second % WRITEBACK_SECONDS:
                self._write_pages()
            if not second % HOUR:
                written.append(read_written_bytes(pid))
        polls = hours * HOUR // POLL_SECONDS * len(self._tracked)
        return {
            "devices": len(self._tracked),
            "polls": polls,
            "written": written,
            "rss": rss,
            "background_cpu_per_1000": 1000 * background / polls,
        }

    def stop(self) -> None:
        for service in (self._runtime.write_behind, self._runtime.history, self._runtime.event_log):
            service.stop()
        self._runtime.stores.close()

    def _record_polls(self) -> None:
        runtime = self._runtime
        answers = [clean_info(miner.read_values()) for miner in self._miners]
        for number, tracked in enumerate(self._tracked):
            before, info = tracked.observation, answers[number % len(answers)]
            reading = Reading(info, tracked.mac, self._clock.now(), self._clock.moment())
            runtime.fleet.record_observation(tracked, next_observation(before, reading, self._offline_after))
            event = DevicePolled(tracked, before)
            runtime.history.on_device_polled(event)
            runtime.event_observer.on_device_polled(event)

    def _write_pages(self) -> None:
        """Write changed pages to the disk, as the kernel does half a minute later."""
        since, self._synced = self._synced, time.time_ns()
        for file in (file for path in self._databases for file in path.iterdir()):
            with suppress(FileNotFoundError):  # LevelDB removes files at any time
                if file.stat().st_mtime_ns >= since - CLOCK_TICK_NS:
                    with file.open("rb") as content:
                        os.fsync(content.fileno())


def main(arguments: list[str]) -> None:
    folder, firmware, count, hours, history = arguments
    run = FastForward(Path(folder), firmware, int(count), history=history == "on")
    gc.collect()
    gc.freeze()  # as the worker of gunicorn does
    gc.set_threshold(10_000, 20, 20)
    started = time.monotonic()
    result = run.run_hours(int(hours))
    run.stop()
    print(json.dumps({**result, "seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main(sys.argv[1:])
