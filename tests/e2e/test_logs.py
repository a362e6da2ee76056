"""From fifty miners that say twenty lines a second each to real Socket.IO clients: every line, once, in order, while
the polls keep their time and the memory stays as it is. The long form, in which the rings are full before memory is
looked at, is `LOGS_SECONDS=60 LOGS_WARM_UP=60`."""

from __future__ import annotations

import json
import os
import re
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from processes import Miners, Process, Service, wait_for

SECONDS = float(os.environ.get("LOGS_SECONDS", "12"))
MINERS = 50
RATE = 20.0
WARM_UP = float(os.environ.get("LOGS_WARM_UP", "6"))
RING_LINES = 1000
LINE_MEGABYTES = 0.001  # more than one costs in a ring
HEAD = 40  # of a text, which is before any secret in it
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
FORMAT = re.compile(r"[EWIDV] \((\d+)\) ([^:]+): ?(.*)")

Line = tuple[int, str, str]


def line_of(text: str) -> Line | None:
    """Uptime, tag and the beginning of the text; None for a blank line."""
    found = FORMAT.fullmatch(COLOUR.sub("", text).rstrip())
    return (int(found[1]), found[2], found[3][:HEAD]) if found else None


def said(miners: Miners, mac: str) -> list[Line]:
    return [line for entry in miners.said(mac) for text in entry.split("\n") if (line := line_of(text))]


def heard(client: Process) -> dict[str, list[dict[str, Any]]]:
    """The lines that a client got, by MAC."""
    lines = defaultdict(list)
    for text in client.text().rpartition("\n")[0].splitlines():
        each = json.loads(text)
        assert each["event"] != "events_lost"
        if each["event"] == "log_line":
            lines[each["payload"]["mac"]].append(each["payload"])
    return lines


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_megabytes(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def sample(service: Service, name: str) -> float:
    return value_in(requests.get(f"{service.url}/metrics", timeout=10).text, name)


def lateness(service: Service) -> tuple[float, float]:
    """Polls that began at most 0.1 s late, and all."""
    text = requests.get(f"{service.url}/metrics", timeout=10).text
    on_time = 'pluto_poll_lateness_seconds_bucket{le="0.1"}'
    return value_in(text, on_time), value_in(text, "pluto_poll_lateness_seconds_count")


def value_in(text: str, name: str) -> float:
    return sum(float(value) for value in re.findall(rf"^{re.escape(name)}(?:\{{[^}}]*\}})? (\S+)$", text, re.M))


@pytest.fixture
def testbed(tmp_path: Path, stack: ExitStack, start: Callable[..., Service]) -> tuple[Service, Miners, list[str]]:
    miners = Miners(tmp_path, MINERS, RATE)
    stack.callback(miners.stop)
    miners.wait_until_ready()
    service = start(POLL_INTERVAL=2, **miners.settings())
    devices = [{"mac": each["mac"], "ip": each["address"]} for each in miners.all()]
    service.call("PUT", "/devices/imprint", {"devices": devices})
    service.wait_until_online(MINERS)
    return service, miners, [device["mac"] for device in devices]


def in_order_and_complete(lines: list[dict[str, Any]], miner_said: list[Line]) -> bool:
    """Numbers without a gap, and the lines those of the miner, from some line on to some other."""
    seqs = [line["seq"] for line in lines]
    got = [(line["uptimeMs"], line["tag"], line["text"][:HEAD]) for line in lines]
    begin = miner_said.index(got[0])
    no_gap = seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    return no_gap and got == miner_said[begin : begin + len(got)]


@pytest.mark.timeout(300)
def test_every_line_of_fifty_miners_once_and_in_order(
    testbed: tuple[Service, Miners, list[str]],
    node: Callable[..., Process],
    run: Callable[..., Process],
    record_property: Callable[[str, Any], None],
) -> None:
    service, miners, macs = testbed
    (worker,) = service.workers()
    assert sample(service, "pluto_log_readers") == 0

    steady = node("logs.mjs", service.url, "stay", *macs)
    wait_for("a line of every miner", lambda: len(heard(steady)) == MINERS, 20)
    dropping = run("node", str(Path(__file__).parent / "js" / "logs.mjs"), service.url, "drop", *macs, name="dropping")
    time.sleep(WARM_UP)
    before = cpu_seconds(worker), resident_megabytes(worker), sample(service, "pluto_polls_total")
    punctual, polls = lateness(service)
    time.sleep(SECONDS)
    cpu = (cpu_seconds(worker) - before[0]) / SECONDS
    rss = before[1], resident_megabytes(worker)
    punctual_then, polls_then = lateness(service)
    late = 1 - (punctual_then - punctual) / (polls_then - polls)
    polled = (sample(service, "pluto_polls_total") - before[2]) / SECONDS

    total = 0
    for client in (steady, dropping):
        lines = heard(client)
        for mac in macs:
            assert in_order_and_complete(lines[mac], said(miners, mac)), (client.log.name, mac)
            assert len(lines[mac]) >= 0.8 * RATE * SECONDS
        total = sum(map(len, lines.values()))
    figures = f"{total} lines per client, {cpu:.0%} of a core, RSS {rss[0]:.1f} → {rss[1]:.1f} MB, {late:.2%} late"
    record_property("figures", figures)
    print(figures)
    assert dropping.text().count('"disconnect"') >= SECONDS / 3
    assert polled >= 0.99 * MINERS / 2
    assert late <= 0.02
    rings_still_take = MINERS * LINE_MEGABYTES * min(RATE * SECONDS, max(0.0, RING_LINES - RATE * WARM_UP))
    assert rss[1] <= rss[0] * 1.05 + rings_still_take
    assert all(each["connections"] <= 2 for each in map(miners.one, macs))
    assert sample(service, "pluto_socket_events_dropped_total") == 0
    began = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - began < 3
    wait_for("the goodbye to every miner", lambda: not any(each["connections"] for each in map(miners.one, macs)), 5)
