"""Log lines from fifty miners, twenty per second each, to real Socket.IO clients.

Each client gets every line once and in order, polls stay on time and memory does not grow. With `LOGS_SECONDS=60
LOGS_WARM_UP=60` the ring buffers are full before memory is measured.
"""

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
from processes import Process, ServiceProcess, SimulatorProcess, wait_for

SECONDS = float(os.environ.get("LOGS_SECONDS", "12"))
MINER_COUNT = 50
LINES_PER_SECOND = 20.0
WARM_UP_SECONDS = float(os.environ.get("LOGS_WARM_UP", "6"))
RING_LINES = 1000
MEGABYTES_PER_LINE = 0.001  # more than one line takes in a ring buffer
COMPARED_CHARACTERS = 40  # of a text; secrets come after them
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
FORMAT = re.compile(r"[EWIDV] \((\d+)\) ([^:]+): ?(.*)")

Line = tuple[int, str, str]


def parse_log_line(text: str) -> Line | None:
    """Return uptime, tag and the beginning of the text; None for a blank line."""
    found = FORMAT.fullmatch(COLOUR.sub("", text).rstrip())
    return (int(found[1]), found[2], found[3][:COMPARED_CHARACTERS]) if found else None


def list_logged_lines(miners: SimulatorProcess, mac: str) -> list[Line]:
    return [line for entry in miners.read_log(mac) for text in entry.split("\n") if (line := parse_log_line(text))]


def list_received_lines(client: Process) -> dict[str, list[dict[str, Any]]]:
    """Return the lines that a client received, by MAC."""
    lines = defaultdict(list)
    for text in client.read_output().rpartition("\n")[0].splitlines():
        each = json.loads(text)
        assert each["event"] != "events_lost"
        if each["event"] == "log_line":
            lines[each["payload"]["mac"]].append(each["payload"])
    return lines


def read_cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read_resident_megabytes(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def read_metric(service: ServiceProcess, name: str) -> float:
    return sum_metric(requests.get(f"{service.url}/metrics", timeout=10).text, name)


def read_poll_lateness(service: ServiceProcess) -> tuple[float, float]:
    """Return the number of polls that began at most 0.1 s late, and of all polls."""
    text = requests.get(f"{service.url}/metrics", timeout=10).text
    on_time = 'pluto_poll_lateness_seconds_bucket{le="0.1"}'
    return sum_metric(text, on_time), sum_metric(text, "pluto_poll_lateness_seconds_count")


def sum_metric(text: str, name: str) -> float:
    return sum(float(value) for value in re.findall(rf"^{re.escape(name)}(?:\{{[^}}]*\}})? (\S+)$", text, re.M))


@pytest.fixture
def logging_fleet(
    tmp_path: Path, exit_stack: ExitStack, start_service: Callable[..., ServiceProcess]
) -> tuple[ServiceProcess, SimulatorProcess, list[str]]:
    miners = SimulatorProcess(tmp_path, MINER_COUNT, LINES_PER_SECOND)
    exit_stack.callback(miners.stop)
    miners.wait_until_ready()
    service = start_service(POLL_INTERVAL=2, **miners.settings())
    devices = [{"mac": each["mac"], "ip": each["address"]} for each in miners.list_miners()]
    service.call_api("PUT", "/devices/imprint", {"devices": devices})
    service.wait_until_online(MINER_COUNT)
    return service, miners, [device["mac"] for device in devices]


def is_in_order_and_complete(lines: list[dict[str, Any]], logged: list[Line]) -> bool:
    """Return whether the numbers have no gap and the lines are consecutive lines of the miner's log."""
    seqs = [line["seq"] for line in lines]
    received = [(line["uptimeMs"], line["tag"], line["text"][:COMPARED_CHARACTERS]) for line in lines]
    begin = logged.index(received[0])
    no_gap = seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    return no_gap and received == logged[begin : begin + len(received)]


@pytest.mark.timeout(300)
def test_clients_receive_every_line_of_fifty_miners_once_and_in_order(
    logging_fleet: tuple[ServiceProcess, SimulatorProcess, list[str]],
    start_node_script: Callable[..., Process],
    start_program: Callable[..., Process],
    record_property: Callable[[str, Any], None],
) -> None:
    service, miners, macs = logging_fleet
    (worker,) = service.list_worker_pids()
    assert read_metric(service, "pluto_log_readers") == 0

    steady_client = start_node_script("logs.mjs", service.url, "stay", *macs)
    wait_for("a line of every miner", lambda: len(list_received_lines(steady_client)) == MINER_COUNT, 20)
    dropping_client = start_program(
        "node", str(Path(__file__).parent / "js" / "logs.mjs"), service.url, "drop", *macs, name="dropping"
    )
    time.sleep(WARM_UP_SECONDS)
    before = read_cpu_seconds(worker), read_resident_megabytes(worker), read_metric(service, "pluto_polls_total")
    punctual_before, polls_before = read_poll_lateness(service)
    time.sleep(SECONDS)
    cpu = (read_cpu_seconds(worker) - before[0]) / SECONDS
    rss = before[1], read_resident_megabytes(worker)
    punctual_after, polls_after = read_poll_lateness(service)
    late_share = 1 - (punctual_after - punctual_before) / (polls_after - polls_before)
    polls_per_second = (read_metric(service, "pluto_polls_total") - before[2]) / SECONDS

    total = 0
    for client in (steady_client, dropping_client):
        lines = list_received_lines(client)
        for mac in macs:
            assert is_in_order_and_complete(lines[mac], list_logged_lines(miners, mac)), (client.log_file.name, mac)
            assert len(lines[mac]) >= 0.8 * LINES_PER_SECOND * SECONDS
        total = sum(map(len, lines.values()))
    summary = (
        f"{total} lines per client, {cpu:.0%} of a core, RSS {rss[0]:.1f} → {rss[1]:.1f} MB, {late_share:.2%} late"
    )
    record_property("summary", summary)
    print(summary)
    assert dropping_client.read_output().count('"disconnect"') >= SECONDS / 3
    assert polls_per_second >= 0.99 * MINER_COUNT / 2
    assert late_share <= 0.02
    allowed_ring_growth = (
        MINER_COUNT
        * MEGABYTES_PER_LINE
        * min(LINES_PER_SECOND * SECONDS, max(0.0, RING_LINES - LINES_PER_SECOND * WARM_UP_SECONDS))
    )
    assert rss[1] <= rss[0] * 1.05 + allowed_ring_growth
    assert all(each["connections"] <= 2 for each in map(miners.get_miner, macs))
    assert read_metric(service, "pluto_socket_events_dropped_total") == 0
    began = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - began < 3
    wait_for(
        "the connections to all miners to close",
        lambda: not any(each["connections"] for each in map(miners.get_miner, macs)),
        5,
    )
