"""The bare loop: a greenlet per miner asks and parses, nothing else. What polling costs at least on gevent.

`python -m tools.bench.bare MODE INTERVAL WARMUP SECONDS PORT`, the addresses on stdin; tells as JSON.
"""

from __future__ import annotations

import json
import sys
import time
import zlib
from typing import Any

import gevent
import orjson
from gevent import socket

from .figures import spread
from .options import KEEP_ALIVE
from .proc import rss_bytes

_RECEIVE = 16384
_BLANK = b"\r\n\r\n"
_LENGTH = b"Content-Length: "


class BareLoop:
    def __init__(self, addresses: list[str], port: int, *, keep: bool, interval: float) -> None:
        self._port = port
        self._keep = keep
        self._interval = interval
        self._request = b"GET /api/system/info HTTP/1.1\r\nHost: miner\r\n"
        self._request += _BLANK[:2] if keep else b"Connection: close" + _BLANK
        self.failed = 0
        self.late: list[float] = []
        for address in addresses:
            gevent.spawn(self._watch, address)

    def _watch(self, address: str) -> None:
        due = time.monotonic() + zlib.crc32(address.encode()) / 2**32 * self._interval
        opened: Any = None
        while True:
            gevent.sleep(max(0.0, due - time.monotonic()))
            self.late.append(time.monotonic() - due)
            try:
                opened = opened or self._connect(address)
                orjson.loads(self._ask(opened))
            except (OSError, ValueError):
                self.failed += 1
                opened = None
            if opened and not self._keep:
                opened.close()
                opened = None
            due += self._interval

    def _connect(self, address: str) -> Any:
        opened = socket.socket()
        opened.connect((address, self._port))
        return opened

    def _ask(self, opened: Any) -> bytes:
        opened.sendall(self._request)
        data = opened.recv(_RECEIVE)
        while (missing := _missing(data)) > 0:
            more = opened.recv(min(missing, _RECEIVE))
            if not more:
                raise OSError("ended")
            data += more
        return bytes(data[data.index(_BLANK) + len(_BLANK) :])


def _missing(data: bytes) -> int:
    """Bytes until the answer is whole."""
    head = data.find(_BLANK)
    if head < 0:
        return _RECEIVE
    at = data.index(_LENGTH) + len(_LENGTH)
    return head + len(_BLANK) + int(data[at : data.index(b"\r", at)]) - len(data)


def main(mode: str, interval: str, warmup: str, seconds: str, port: str) -> dict[str, Any]:
    loop = BareLoop(sys.stdin.read().split(), int(port), keep=mode == KEEP_ALIVE, interval=float(interval))
    gevent.sleep(float(warmup))
    loop.late.clear()
    loop.failed = 0
    began, cpu = time.monotonic(), time.process_time()
    gevent.sleep(float(seconds))
    return {
        "seconds": time.monotonic() - began,
        "cpu": time.process_time() - cpu,
        "polls": len(loop.late) - loop.failed,
        "failed": loop.failed,
        "late_ms": spread(loop.late, 50, 99, scale=1e3),
        "rss": rss_bytes("self"),
    }


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])), flush=True)
