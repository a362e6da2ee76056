"""The bare loop: one greenlet per miner requests and parses, nothing else. It shows the least that polling can cost.

`python -m tools.bench.bare_loop MODE INTERVAL WARMUP SECONDS PORT` reads the addresses from stdin and prints JSON.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import zlib
from typing import Any

import gevent
import orjson
from gevent import socket

from .measurements import compare_usage, read_usage, summarize_samples
from .options import KEEP_ALIVE

_RECEIVE_BYTES = 16384
_HEAD = re.compile(rb".*?\r\nContent-Length: (\d+)\r\n.*?\r\n\r\n", re.DOTALL)
_REQUEST = b"GET /api/system/info HTTP/1.1\r\nHost: miner\r\n"


class BareLoop:
    """Polls all addresses from its construction until the process ends."""

    def __init__(self, addresses: list[str], port: int, *, keep_alive: bool, interval: float) -> None:
        self._port, self._keep_alive, self._interval = port, keep_alive, interval
        self._request = _REQUEST + (b"\r\n" if keep_alive else b"Connection: close\r\n\r\n")
        self.failed = 0
        self.late: list[float] = []
        for address in addresses:
            gevent.spawn(self._poll_forever, address)

    def _poll_forever(self, address: str) -> None:
        due = time.monotonic() + zlib.crc32(address.encode()) / 2**32 * self._interval
        connection: Any = None
        while True:
            gevent.sleep(max(0.0, due - time.monotonic()))
            self.late.append(time.monotonic() - due)
            try:
                if connection is None:
                    connection = socket.socket()
                    connection.connect((address, self._port))
                orjson.loads(self._request_info(connection))
            except (OSError, ValueError):
                self.failed += 1
                connection = None
            if connection and not self._keep_alive:
                connection.close()
                connection = None
            due += self._interval

    def _request_info(self, connection: Any) -> bytes:
        connection.sendall(self._request)
        data = b""
        while not (head := _HEAD.match(data)) or len(data) < head.end() + int(head[1]):
            more = connection.recv(_RECEIVE_BYTES)
            if not more:
                raise OSError("the miner closed the connection within an answer")
            data += more
        return data[head.end() :]


def measure_bare_loop(mode: str, interval: str, warmup: str, seconds: str, port: str) -> dict[str, Any]:
    loop = BareLoop(sys.stdin.read().split(), int(port), keep_alive=mode == KEEP_ALIVE, interval=float(interval))
    gevent.sleep(float(warmup))
    loop.late.clear()
    loop.failed = 0
    before = read_usage(os.getpid())
    gevent.sleep(float(seconds))
    usage = compare_usage(before, read_usage(os.getpid()), len(loop.late) - loop.failed)
    return {**usage, "failed": loop.failed, "late_ms": summarize_samples(loop.late, 50, 99, scale=1e3)}


if __name__ == "__main__":
    print(json.dumps(measure_bare_loop(*sys.argv[1:])), flush=True)
