"""Log lines of a miner: lines of mining, lines of a boot, and their format.

The format of ESP-IDF is `I (ms since boot) tag: text`, in colours on AxeOS. Lines of the wifi library have no colours
and no space after the colon.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

LogLine = tuple[str, str, str]  # level, tag, text
COLOURS = {"I": 32, "W": 33, "E": 31}


def format_line(line: LogLine, uptime_ms: int, *, colours: bool) -> bytes:
    """Return the bytes of one ESP_LOG call, with a newline at the end. The time wraps at 2³² ms."""
    level, tag, text = line
    stamp = uptime_ms % 2**32
    if tag == "wifi":
        return f"{level} ({stamp}) wifi:{text}\n".encode()
    if not colours or level not in COLOURS:
        return f"{level} ({stamp}) {tag}: {text}\n".encode()
    return f"\x1b[0;{COLOURS[level]}m{level} ({stamp}) {tag}: {text}\x1b[0m\n".encode()


def _make_result_line(rng: Random, pool: Mapping[str, Any]) -> LogLine:
    job, nonce = rng.getrandbits(20), rng.getrandbits(32)
    diff = 250 / max(rng.random(), 1e-6)
    return (
        "I",
        "asic_result",
        f"ID: {job}, ASIC nr: 0, ver: 24A7A000 Nonce {nonce:08X} diff {diff:.1f} of 1000.",
    )


def _make_submit_line(rng: Random, pool: Mapping[str, Any]) -> LogLine:
    parameters = [
        pool["stratumUser"],
        f"{rng.getrandbits(40):x}",
        "04000000",
        "69979af4",
        "4dda0258",
        "02bb4000",
    ]
    return _make_sent_line(rng.randrange(4, 9999), "mining.submit", parameters)


def _make_accepted_line(rng: Random, pool: Mapping[str, Any]) -> LogLine:
    return "I", "stratum_task", "message result accepted"


def _make_response_line(rng: Random, pool: Mapping[str, Any]) -> LogLine:
    return "I", "stratum_task", f"Stratum response time: {rng.uniform(10, 60):.1f} ms"


def _make_work_line(rng: Random, pool: Mapping[str, Any]) -> LogLine:
    return "I", "create_jobs_task", f"New Work Dequeued {rng.getrandbits(32):x}"


def _make_notify_line(rng: Random, pool: Mapping[str, Any]) -> LogLine:
    """Return a line of 1–3 KB."""
    branches = [f"{rng.getrandbits(256):064x}" for _ in range(rng.randrange(8, 24))]
    message = {
        "id": None,
        "method": "mining.notify",
        "params": ["6f2a", "00" * 32, "01" * 60, "02" * 120, branches],
    }
    return "I", "stratum_api", "rx: " + json.dumps(message)


def _make_fan_line(rng: Random, pool: Mapping[str, Any]) -> LogLine:
    temperature, output = rng.uniform(58, 61), rng.uniform(35, 60)
    return "I", "fan_controller", f"Temp: {temperature:.1f} °C, SetPoint: 60.0 °C, Output: {output:.1f}%"


def _make_poll_timeout_line(rng: Random, pool: Mapping[str, Any]) -> LogLine:
    return "W", "transport_base", "Poll timeout or error, errno=Success, fd=-1, timeout_ms=5000"


def _make_beacon_line(rng: Random, pool: Mapping[str, Any]) -> LogLine:
    return "I", "wifi", "bcn_timeout,ap_probe_send_start"


def _make_sent_line(number: int, method: str, parameters: list[Any]) -> LogLine:
    """Return a `tx:` line. Its text ends with a newline before the colour is reset, as in the firmware."""
    return (
        "I",
        "stratum_api",
        "tx: " + json.dumps({"id": number, "method": method, "params": parameters}) + "\n",
    )


Maker = Callable[[Random, Mapping[str, Any]], LogLine]
MINING_LINES: tuple[tuple[int, Maker], ...] = (
    (30, _make_result_line),
    (8, _make_submit_line),
    (8, _make_accepted_line),
    (8, _make_response_line),
    (12, _make_work_line),
    (4, _make_notify_line),
    (10, _make_fan_line),
    (1, _make_poll_timeout_line),
    (1, _make_beacon_line),
)
_MAKERS = tuple(maker for _, maker in MINING_LINES)
_WEIGHTS = tuple(weight for weight, _ in MINING_LINES)


def choose_mining_line(rng: Random, pool: Mapping[str, Any]) -> LogLine:
    """Return a random line of a mining miner."""
    return rng.choices(_MAKERS, _WEIGHTS)[0](rng, pool)


def make_boot_lines(model: str, mac: str, pool: Mapping[str, Any]) -> list[LogLine]:
    """Return the lines of a boot. They contain the pool password, as in the firmware."""
    host, port = pool["stratumURL"], pool["stratumPort"]
    return [
        ("I", "bitaxe", "Welcome to the bitaxe - FOSS || GTFO!"),
        ("I", "wifi", f"mode : sta ({mac})"),
        ("I", "connect", "Connected to SSID: FakeNet-24"),
        ("I", "stratum_task", f"Resolved {host}:{port} → 192.0.2.49"),
        ("I", "stratum_task", f"Connecting to: stratum+tcp://{host}:{port} (192.0.2.49)"),
        _make_sent_line(1, "mining.subscribe", [f"bitaxe/{model}"]),
        _make_sent_line(3, "mining.authorize", [pool["stratumUser"], pool["stratumPassword"]]),
    ]
