"""What a miner writes into its log: lines of a working day, of a boot, and how each firmware dresses them.

Pure: texts from a random source and a few facts. ESP-IDF's format is `I (ms since boot) tag: text`, in
colours on AxeOS; lines of the wifi library have none, and no space after the colon.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

Said = tuple[str, str, str]  # level, tag, text
COLOURS = {"I": 32, "W": 33, "E": 31}


def dress(said: Said, uptime_ms: int, *, colours: bool) -> bytes:
    """One ESP_LOG call as the bytes it produces; ends with a newline. The number wraps at 2³² ms."""
    level, tag, text = said
    stamp = uptime_ms % 2**32
    if tag == "wifi":
        return f"{level} ({stamp}) wifi:{text}\n".encode()
    if not colours or level not in COLOURS:
        return f"{level} ({stamp}) {tag}: {text}\n".encode()
    return f"\x1b[0;{COLOURS[level]}m{level} ({stamp}) {tag}: {text}\x1b[0m\n".encode()


def _result(random: Random, pool: Mapping[str, Any]) -> Said:
    job, nonce = random.getrandbits(20), random.getrandbits(32)
    diff = 250 / max(random.random(), 1e-6)
    return (
        "I",
        "asic_result",
        f"ID: {job}, ASIC nr: 0, ver: 24A7A000 Nonce {nonce:08X} diff {diff:.1f} of 1000.",
    )


def _submit(random: Random, pool: Mapping[str, Any]) -> Said:
    parameters = [
        pool["stratumUser"],
        f"{random.getrandbits(40):x}",
        "04000000",
        "69979af4",
        "4dda0258",
        "02bb4000",
    ]
    return _sent(random.randrange(4, 9999), "mining.submit", parameters)


def _accepted(random: Random, pool: Mapping[str, Any]) -> Said:
    return "I", "stratum_task", "message result accepted"


def _response(random: Random, pool: Mapping[str, Any]) -> Said:
    return "I", "stratum_task", f"Stratum response time: {random.uniform(10, 60):.1f} ms"


def _work(random: Random, pool: Mapping[str, Any]) -> Said:
    return "I", "create_jobs_task", f"New Work Dequeued {random.getrandbits(32):x}"


def _notify(random: Random, pool: Mapping[str, Any]) -> Said:
    """1–3 KB in one line."""
    branches = [f"{random.getrandbits(256):064x}" for _ in range(random.randrange(8, 24))]
    message = {
        "id": None,
        "method": "mining.notify",
        "params": ["6f2a", "00" * 32, "01" * 60, "02" * 120, branches],
    }
    return "I", "stratum_api", "rx: " + json.dumps(message)


def _fan(random: Random, pool: Mapping[str, Any]) -> Said:
    temperature, output = random.uniform(58, 61), random.uniform(35, 60)
    return "I", "fan_controller", f"Temp: {temperature:.1f} °C, SetPoint: 60.0 °C, Output: {output:.1f}%"


def _poll_timeout(random: Random, pool: Mapping[str, Any]) -> Said:
    return "W", "transport_base", "Poll timeout or error, errno=Success, fd=-1, timeout_ms=5000"


def _beacon(random: Random, pool: Mapping[str, Any]) -> Said:
    return "I", "wifi", "bcn_timeout,ap_probe_send_start"


def _sent(number: int, method: str, parameters: list[Any]) -> Said:
    """`tx:` texts end with a newline of their own, before the colour is reset."""
    return (
        "I",
        "stratum_api",
        "tx: " + json.dumps({"id": number, "method": method, "params": parameters}) + "\n",
    )


Maker = Callable[[Random, Mapping[str, Any]], Said]
DAILY: tuple[tuple[int, Maker], ...] = (
    (30, _result),
    (8, _submit),
    (8, _accepted),
    (8, _response),
    (12, _work),
    (4, _notify),
    (10, _fan),
    (1, _poll_timeout),
    (1, _beacon),
)
_MAKERS = tuple(maker for _, maker in DAILY)
_WEIGHTS = tuple(weight for weight, _ in DAILY)


def daily_line(random: Random, pool: Mapping[str, Any]) -> Said:
    """Something that a mining miner says."""
    return random.choices(_MAKERS, _WEIGHTS)[0](random, pool)


def boot_lines(model: str, mac: str, pool: Mapping[str, Any]) -> list[Said]:
    """What it says while it boots, the pool's password included."""
    host, port = pool["stratumURL"], pool["stratumPort"]
    return [
        ("I", "bitaxe", "Welcome to the bitaxe - FOSS || GTFO!"),
        ("I", "wifi", f"mode : sta ({mac})"),
        ("I", "connect", "Connected to SSID: FakeNet-24"),
        ("I", "stratum_task", f"Resolved {host}:{port} → 192.0.2.49"),
        ("I", "stratum_task", f"Connecting to: stratum+tcp://{host}:{port} (192.0.2.49)"),
        _sent(1, "mining.subscribe", [f"bitaxe/{model}"]),
        _sent(3, "mining.authorize", [pool["stratumUser"], pool["stratumPassword"]]),
    ]
