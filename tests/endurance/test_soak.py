"""Many polls, of which one in a hundred is reset and one in a hundred hangs, while two hundred sockets reconnect.

The memory, files and greenlets of the service do not grow.
"""

from __future__ import annotations

import os
import random
import re
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
import pytest
import requests
from processes import ServiceProcess, SimulatorProcess
from prometheus_client.parser import text_string_to_metric_families
from soak import scale_loops
from websocket import WebSocketException, create_connection

GUNICORN_CONFIG = Path(__file__).with_name("soak_conf.py")
MINER_COUNT = int(os.environ.get("SOAK_MINERS", "200"))
POLL_COUNT = int(os.environ.get("SOAK_POLLS", scale_loops(16_000)))
# During the warm-up LevelDB fills its buffers and the allocator reaches its working size.
WARM_UP_POLLS = max(2_000, POLL_COUNT // 2)
SOCKET_COUNT = 200
TICK_SECONDS = 1.0
MEBIBYTE = 1024 * 1024
MAX_MEMORY_GROWTH = 1 * MEBIBYTE
# Python allocates memory by the mebibyte and releases one when its last object is freed. A leak shows much earlier in
# the number of objects: one for a thousand polls, or for twenty sockets, is too many.
MAX_BLOCK_GROWTH = max(2_000, POLL_COUNT // 1000)
# The median of so many samples is taken at each end.
MEDIAN_SAMPLES = 5


@dataclass(frozen=True)
class Sample:
    seconds: float
    polls: int
    memory: int
    files: int
    greenlets: int
    blocks: int

    def is_within(self, other: Sample) -> bool:
        return self.files <= other.files and self.greenlets <= other.greenlets


class WorkerMonitor:
    """Measures the memory, files, greenlets and objects of the worker from outside."""

    def __init__(self, service: ServiceProcess) -> None:
        self._service = service
        [self._pid] = service.list_worker_pids()

    def take_sample(self) -> Sample:
        live_objects = requests.get(f"{self._service.url}/soak", timeout=20).json()
        return Sample(time.monotonic(), self.count_polls(), self._read_memory(), self._count_files(), **live_objects)

    def _read_memory(self) -> int:
        """Return the anonymous memory in bytes, without the files that LevelDB maps, which the system can reclaim."""
        [kibibytes] = re.findall(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{self._pid}/status").read_text())
        return int(kibibytes) * 1024

    def count_polls(self) -> int:
        text = requests.get(f"{self._service.url}/metrics", timeout=20).text
        families = {family.name: family for family in text_string_to_metric_families(text)}
        return int(sum(sample.value for sample in families["pluto_polls"].samples if sample.name.endswith("_total")))

    def _count_files(self) -> int:
        return len(list(Path(f"/proc/{self._pid}/fd").iterdir()))

    def sample_quiet(self, seconds: float, like: Sample | None = None) -> Sample:
        """Return the smallest sample within so many seconds without clients, or the first that is within `like`."""
        least, deadline = self.take_sample(), time.monotonic() + seconds
        while time.monotonic() < deadline and (like is None or not least.is_within(like)):
            gevent.sleep(1.0)
            least = min(least, self.take_sample(), key=lambda sample: (sample.greenlets, sample.files))
        return least


@contextmanager
def rotating_faults(miners: SimulatorProcess) -> Iterator[None]:
    """Make one in a hundred miners reset connections and one in a hundred hang; choose others each second."""
    macs = [each["mac"] for each in miners.list_miners()]
    share = max(1, len(macs) // 100)

    def rotate() -> None:
        while True:
            chosen = random.sample(macs, 2 * share)
            for mac in chosen[:share]:
                miners.send_command(mac, "fault", fault="reset")
            for mac in chosen[share:]:
                miners.send_command(mac, "fault", fault="hang")
            gevent.sleep(TICK_SECONDS)
            for mac in chosen:
                miners.clear_fault(mac)

    with background_loops(rotate):
        yield


def reconnect_forever(service: ServiceProcess) -> None:
    """Open a socket again and again."""
    while True:
        gevent.sleep(random.uniform(5, 25))
        with suppress(OSError, WebSocketException):
            open_short_connection(service, close_properly=random.random() < 0.5)


def open_short_connection(service: ServiceProcess, *, close_properly: bool) -> None:
    """Receive some events and disconnect."""
    url = f"{service.url.replace('http', 'ws')}/socket/io/?EIO=4&transport=websocket"
    connection = create_connection(url, timeout=10, suppress_origin=True)
    connection.send("40")
    for _ in range(5):
        connection.recv()
    if close_properly:
        connection.close()
    else:
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01" + bytes(7))
        connection.shutdown()


def read_and_edit_forever(service: ServiceProcess, macs: list[str]) -> None:
    """Send the requests of a frontend and of a user who edits devices."""
    for number in range(10**9):
        requests.get(f"{service.url}/devices/imprint", timeout=20)
        edit_device(service, random.choice(macs), number)
        gevent.sleep(TICK_SECONDS)


def edit_device(service: ServiceProcess, mac: str, number: int) -> None:
    edited = {"device": {"name": f"n{number % 100}", "tags": [f"t{number % 7}"]}}
    assert requests.patch(f"{service.url}/devices/imprint/{mac}", json=edited, timeout=20).ok


@contextmanager
def background_loops(*loops: Callable[[], Any]) -> Iterator[None]:
    greenlets = [gevent.spawn(loop) for loop in loops]
    try:
        yield
    finally:
        ended = [each for each in greenlets if each.ready()]
        gevent.killall(greenlets)
        assert not ended, [each.exception for each in ended]


def sample_until(monitor: WorkerMonitor, polls: int) -> list[Sample]:
    """Return samples taken every five seconds, or every hundredth of the expected duration if that is longer."""
    pause = max(5.0, POLL_COUNT / MINER_COUNT / 100)
    samples = [monitor.take_sample()]
    while samples[-1].polls < polls:
        gevent.sleep(pause)
        samples.append(monitor.take_sample())
    return samples


def median_growth(samples: list[Sample], of: str) -> float:
    """Return the growth from the median of the first samples to the median of the last."""
    values, share = [getattr(each, of) for each in samples], min(MEDIAN_SAMPLES, len(samples) // 2)
    return statistics.median(values[-share:]) - statistics.median(values[:share])


@pytest.mark.timeout(60 + 4 * POLL_COUNT / MINER_COUNT)
def test_memory_files_and_greenlets_do_not_grow(
    tmp_path: Path, exit_stack: Any, start_service: Callable[..., ServiceProcess]
) -> None:
    miners = SimulatorProcess(tmp_path, MINER_COUNT, log_rate=0.0, name="many")
    exit_stack.callback(miners.stop)
    miners.wait_until_ready()
    service = start_service(**miners.settings(), GUNICORN_CMD_ARGS=f"-c {GUNICORN_CONFIG}", PERSIST_INTERVAL=10)
    devices = [{"mac": each["mac"], "ip": each["address"]} for each in miners.list_miners()]
    service.call_api("PUT", "/devices/imprint", {"devices": devices})
    service.wait_until_online(MINER_COUNT)
    monitor, macs = WorkerMonitor(service), [device["mac"] for device in devices]
    for mac in macs:
        edit_device(service, mac, 0)
    open_short_connection(service, close_properly=True)  # the first one starts the greenlets that serve all sockets
    quiet_before = monitor.sample_quiet(5)
    socket_loops = [lambda: reconnect_forever(service)] * SOCKET_COUNT
    with rotating_faults(miners), background_loops(*socket_loops, lambda: read_and_edit_forever(service, macs)):
        warm_sample = sample_until(monitor, WARM_UP_POLLS)[-1]
        samples = sample_until(monitor, POLL_COUNT)
    # The service notices a client that vanished when a ping has no answer.
    quiet_after = monitor.sample_quiet(60, like=quiet_before)

    minutes = (samples[-1].seconds - warm_sample.seconds) / 60
    memory, blocks = median_growth(samples, "memory"), median_growth(samples, "blocks")
    print(
        f"{quiet_after.polls} polls of {MINER_COUNT} miners, {minutes:.1f} min after warm-up: memory {memory:+.0f} B, "
        f"objects {blocks:+.0f} of {warm_sample.blocks}, files {quiet_before.files} → {quiet_after.files}, "
        f"greenlets {quiet_before.greenlets} → {quiet_after.greenlets}, {quiet_after.memory / MEBIBYTE:.1f} MiB"
    )
    print("MiB:", *(f"{each.memory / MEBIBYTE:.1f}" for each in samples))
    print("objects:", *(each.blocks for each in samples))
    assert quiet_after.polls >= POLL_COUNT
    assert quiet_after.is_within(quiet_before)
    assert memory <= MAX_MEMORY_GROWTH
    assert blocks <= MAX_BLOCK_GROWTH
    assert "Traceback" not in service.read_output()
    assert service.stop() == 0
