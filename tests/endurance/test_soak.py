"""Polls without end, one in a hundred reset and one in a hundred left hanging, while two hundred sockets come and go:
what the service takes in memory, files and greenlets does not grow."""

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
from soak import times
from websocket import WebSocketException, create_connection

CONF = Path(__file__).with_name("soak_conf.py")
MINERS = int(os.environ.get("SOAK_MINERS", "200"))
POLLS = int(os.environ.get("SOAK_POLLS", times(16_000)))
# Before that LevelDB has not filled its buffers, and the allocator has not seen everything.
WARM_UP = max(2_000, POLLS // 2)
SOCKETS = 200
TICK_SECONDS = 1.0
MEBIBYTE = 1024 * 1024
GROWTH = 1 * MEBIBYTE
# Python takes memory from the system by the mebibyte, and gives it back when the last object has left one. What is lost
# for good is seen in the objects long before: one for a thousand polls, or for twenty sockets, is too many.
BLOCKS = max(2_000, POLLS // 1000)
# So many samples at each end make one figure.
FEW = 5


@dataclass(frozen=True)
class Sample:
    seconds: float
    polls: int
    memory: int
    files: int
    greenlets: int
    blocks: int

    def within(self, other: Sample) -> bool:
        return self.files <= other.files and self.greenlets <= other.greenlets


class Watch:
    """What the worker takes, from outside."""

    def __init__(self, service: ServiceProcess) -> None:
        self._service = service
        [self._pid] = service.list_worker_pids()

    def sample(self) -> Sample:
        living = requests.get(f"{self._service.url}/soak", timeout=20).json()
        return Sample(time.monotonic(), self.polls(), self._memory(), self._files(), **living)

    def _memory(self) -> int:
        """Its own, without the files that LevelDB maps: those the system takes back when it needs room."""
        [kibibytes] = re.findall(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{self._pid}/status").read_text())
        return int(kibibytes) * 1024

    def polls(self) -> int:
        text = requests.get(f"{self._service.url}/metrics", timeout=20).text
        families = {family.name: family for family in text_string_to_metric_families(text)}
        return int(sum(sample.value for sample in families["pluto_polls"].samples if sample.name.endswith("_total")))

    def _files(self) -> int:
        return len(list(Path(f"/proc/{self._pid}/fd").iterdir()))

    def quiet(self, seconds: float, like: Sample | None = None) -> Sample:
        """The least that it took in so many seconds without callers, or the first that is no more than `like`."""
        least, deadline = self.sample(), time.monotonic() + seconds
        while time.monotonic() < deadline and (like is None or not least.within(like)):
            gevent.sleep(1.0)
            least = min(least, self.sample(), key=lambda sample: (sample.greenlets, sample.files))
        return least


@contextmanager
def mischief(miners: SimulatorProcess) -> Iterator[None]:
    """Each second other miners: one in a hundred resets, one in a hundred hangs."""
    macs = [each["mac"] for each in miners.list_miners()]
    few = max(1, len(macs) // 100)

    def rotate() -> None:
        while True:
            chosen = random.sample(macs, 2 * few)
            for mac in chosen[:few]:
                miners.send_command(mac, "fault", fault="reset")
            for mac in chosen[few:]:
                miners.send_command(mac, "fault", fault="hang")
            gevent.sleep(TICK_SECONDS)
            for mac in chosen:
                miners.clear_fault(mac)

    with running(rotate):
        yield


def come_and_go(service: ServiceProcess) -> None:
    """One socket, again and again."""
    while True:
        gevent.sleep(random.uniform(5, 25))
        with suppress(OSError, WebSocketException):
            come(service, politely=random.random() < 0.5)


def come(service: ServiceProcess, *, politely: bool) -> None:
    """Looks at some events and leaves."""
    url = f"{service.url.replace('http', 'ws')}/socket/io/?EIO=4&transport=websocket"
    opened = create_connection(url, timeout=10, suppress_origin=True)
    opened.send("40")
    for _ in range(5):
        opened.recv()
    if politely:
        opened.close()
    else:
        opened.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01" + bytes(7))
        opened.shutdown()


def look_on(service: ServiceProcess, macs: list[str]) -> None:
    """What a frontend and somebody who tidies up ask."""
    for number in range(10**9):
        requests.get(f"{service.url}/devices/imprint", timeout=20)
        edit(service, random.choice(macs), number)
        gevent.sleep(TICK_SECONDS)


def edit(service: ServiceProcess, mac: str, number: int) -> None:
    edited = {"device": {"name": f"n{number % 100}", "tags": [f"t{number % 7}"]}}
    assert requests.patch(f"{service.url}/devices/imprint/{mac}", json=edited, timeout=20).ok


@contextmanager
def running(*loops: Callable[[], Any]) -> Iterator[None]:
    greenlets = [gevent.spawn(loop) for loop in loops]
    try:
        yield
    finally:
        broken = [each for each in greenlets if each.ready()]
        gevent.killall(greenlets)
        assert not broken, [each.exception for each in broken]


def until(watch: Watch, polls: int) -> list[Sample]:
    """A sample every five seconds, or as long as a hundredth of the whole takes."""
    pause = max(5.0, POLLS / MINERS / 100)
    samples = [watch.sample()]
    while samples[-1].polls < polls:
        gevent.sleep(pause)
        samples.append(watch.sample())
    return samples


def growth(samples: list[Sample], of: str) -> float:
    """From the first few samples to the last few."""
    values, few = [getattr(each, of) for each in samples], min(FEW, len(samples) // 2)
    return statistics.median(values[-few:]) - statistics.median(values[:few])


@pytest.mark.timeout(60 + 4 * POLLS / MINERS)
def test_nothing_grows(tmp_path: Path, exit_stack: Any, start_service: Callable[..., ServiceProcess]) -> None:
    miners = SimulatorProcess(tmp_path, MINERS, log_rate=0.0, name="many")
    exit_stack.callback(miners.stop)
    miners.wait_until_ready()
    service = start_service(**miners.settings(), GUNICORN_CMD_ARGS=f"-c {CONF}", PERSIST_INTERVAL=10)
    devices = [{"mac": each["mac"], "ip": each["address"]} for each in miners.list_miners()]
    service.call_api("PUT", "/devices/imprint", {"devices": devices})
    service.wait_until_online(MINERS)
    watch, macs = Watch(service), [device["mac"] for device in devices]
    for mac in macs:
        edit(service, mac, 0)
    come(service, politely=True)  # the first one starts what serves all of them
    before = watch.quiet(5)
    sockets = [lambda: come_and_go(service)] * SOCKETS
    with mischief(miners), running(*sockets, lambda: look_on(service, macs)):
        warm = until(watch, WARM_UP)[-1]
        samples = until(watch, POLLS)
    after = watch.quiet(60, like=before)  # a peer that is gone without a word is noticed when a ping has no answer

    minutes = (samples[-1].seconds - warm.seconds) / 60
    memory, blocks = growth(samples, "memory"), growth(samples, "blocks")
    print(
        f"{after.polls} polls of {MINERS} miners, {minutes:.1f} min after warm-up: memory {memory:+.0f} B, objects "
        f"{blocks:+.0f} of {warm.blocks}, files {before.files} → {after.files}, "
        f"greenlets {before.greenlets} → {after.greenlets}, {after.memory / MEBIBYTE:.1f} MiB"
    )
    print("MiB:", *(f"{each.memory / MEBIBYTE:.1f}" for each in samples))
    print("objects:", *(each.blocks for each in samples))
    assert after.polls >= POLLS
    assert after.within(before)
    assert memory <= GROWTH
    assert blocks <= BLOCKS
    assert "Traceback" not in service.read_output()
    assert service.stop() == 0
